{{- define "durafleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "durafleet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "durafleet.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "durafleet.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of cluster-scoped objects: it must differ between releases in different namespaces. */}}
{{- define "durafleet.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "durafleet.fullname" .) -}}
{{- end -}}

{{- define "durafleet.selector" -}}
app.kubernetes.io/name: {{ include "durafleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Name of the objects of one shard, such as its Deployment and Lease; takes a dict of root and shard. */}}
{{- define "durafleet.shardName" -}}
{{- include "durafleet.fullname" .root -}}
{{- if gt (int .root.Values.shards) 1 -}}-{{ .shard }}{{- end -}}
{{- end -}}

{{/* Label that selects the pods of one shard; empty with a single shard. Takes a dict of root and shard. */}}
{{- define "durafleet.shardLabel" -}}
{{- if gt (int .root.Values.shards) 1 -}}durafleet.dev/shard: {{ .shard | quote }}{{- end -}}
{{- end -}}

{{/* Callback URL of one shard, because other shards do not know its runs; takes a dict of root and shard. */}}
{{- define "durafleet.callbackUrl" -}}
{{- $url := .root.Values.callbacks.url -}}
{{- if and (gt (int .root.Values.shards) 1) (not (contains "{shard}" $url)) -}}
{{- fail "callbacks.url: with shards above 1, each shard needs its own address; write {shard} in place of its number" -}}
{{- end -}}
{{- $url | replace "{shard}" (toString .shard) -}}
{{- end -}}

{{- define "durafleet.labels" -}}
{{ include "durafleet.selector" . }}
app.kubernetes.io/part-of: durafleet
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "durafleet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "durafleet.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Image reference; takes a dict of image and chart. With a digest, the tag has no effect. */}}
{{- define "durafleet.image" -}}
{{- .image.repository -}}
{{- if or .image.tag (not .image.digest) -}}:{{ .image.tag | default .chart.AppVersion }}{{- end -}}
{{- with .image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{/* The operator's rights in each namespace that it watches: the ones that it uses, and no others. */}}
{{- define "durafleet.rules" -}}
- apiGroups: [durafleet.dev]
  resources: [agentruns, agentworkers, temporalconnections]
  verbs: [get, list, watch]
- apiGroups: [durafleet.dev]
  resources: [agentruns] # the finalizer; ttlSecondsAfterFinished
  verbs: [patch, delete]
- apiGroups: [durafleet.dev]
  resources: [agentruns/status, agentworkers/status, temporalconnections/status]
  verbs: [get, patch]
- apiGroups: [apps]
  resources: [deployments] # the fleets
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps] # declared agents of the fleets; inputs of runs
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.inputFromSecrets.enabled }}
- apiGroups: [""]
  resources: [secrets] # inputs of runs
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [pods] # the reason why a fleet does not start
  verbs: [get, list]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
