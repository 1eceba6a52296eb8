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

{{/* Names of cluster-scoped objects: two releases in different namespaces must not meet. */}}
{{- define "durafleet.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "durafleet.fullname" .) -}}
{{- end -}}

{{- define "durafleet.selector" -}}
app.kubernetes.io/name: {{ include "durafleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Of one operator of several that divide the namespaces: Deployment, Lease and so on; takes a dict of root and shard. */}}
{{- define "durafleet.shardName" -}}
{{- include "durafleet.fullname" .root -}}
{{- if gt (int .root.Values.shards) 1 -}}-{{ .shard }}{{- end -}}
{{- end -}}

{{/* What tells its pods from those of the other shards; empty if there is one operator only. */}}
{{- define "durafleet.shardLabel" -}}
{{- if gt (int .root.Values.shards) 1 -}}durafleet.dev/shard: {{ .shard | quote }}{{- end -}}
{{- end -}}

{{/* Where Temporal calls a shard's operator; takes a dict of root and shard. One of another shard would not know the run. */}}
{{- define "durafleet.callbackUrl" -}}
{{- $url := .root.Values.callbacks.url -}}
{{- if and (gt (int .root.Values.shards) 1) (not (contains "{shard}" $url)) -}}
{{- fail "callbacks.url: with shards above 1 each has an address of its own; write {shard} where its number belongs" -}}
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

{{/* An image reference; takes a dict of image and chart. With a digest the tag is only words. */}}
{{- define "durafleet.image" -}}
{{- .image.repository -}}
{{- if or .image.tag (not .image.digest) -}}:{{ .image.tag | default .chart.AppVersion }}{{- end -}}
{{- with .image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{/* What the operator may do in every namespace that it watches: what it does, and no more. */}}
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
  resources: [configmaps] # their agents files; inputs of runs
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.inputFromSecrets.enabled }}
- apiGroups: [""]
  resources: [secrets] # inputs of runs
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [pods] # why a fleet does not come up
  verbs: [get, list]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
