"""AgentWorkers: their objects, and the readiness of their fleets. A fleet is the pods of an AgentWorker."""
