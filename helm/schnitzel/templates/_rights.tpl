{{/*
What the Deployer may do where models are served, with the reason of each. No secret is ever read:
pods are given secrets by name. `create` stands beside `patch` because a server-side apply that makes
an object needs both.
*/}}
{{- define "schnitzel.deployer.rules" -}}
# A deployment's record and its owner: made with it and kept up; only people delete one.
- apiGroups: [schnitzel.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch, create, patch]
# Its status.
- apiGroups: [schnitzel.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
# The predictors' pods, their address and their configuration: watched for drift, pruned.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
# What a serving spec may ask for: scaling by load, and a bound on evictions.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
{{- if include "schnitzel.has-seldon" . }}
# Versions that are served by Seldon's operator.
- apiGroups: [machinelearning.seldon.io]
  resources: [seldondeployments]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
# Shares of the traffic.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Why a predictor is not ready, and its termination message.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# The scheduler's events on pods, and our own on a ModelDeployment.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- if include "schnitzel.has-brokers" . }}
# Telling a pod that consumes a queue to read its share of the messages anew: one annotation.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
{{- end }}
{{- if .Values.rbac.proxy }}
# Asking a pod its own example, where only the API server reaches it.
- apiGroups: [""]
  resources: [pods/proxy]
  verbs: [get, create]
{{- end }}
{{- end }}

{{/* Whether a cluster has Seldon's operator; empty if none has. */}}
{{- define "schnitzel.has-seldon" -}}
{{- range .Values.settings.clusters | default dict }}
{{- if kindIs "map" .seldon }}yes{{ end }}
{{- end }}
{{- end }}

{{/* Whether the pods of a cluster have access to brokers; empty if none has. */}}
{{- define "schnitzel.has-brokers" -}}
{{- range .Values.settings.clusters | default dict }}
{{- if .brokers }}yes{{ end }}
{{- end }}
{{- end }}

{{/*
Which Deployer acts. A Lease's name cannot be bound when it is made, for the API server does not know
it by then; afterwards it is this one only.
*/}}
{{- define "schnitzel.deployer.lease-rules" -}}
# Which Deployer acts: made once, then this one Lease only.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ printf "schnitzel-%s" .Values.platformId | quote }}]
  verbs: [get, update]
{{- end }}

{{/*
Where the Leases are, comma-separated: for each cluster that the Deployer's own account is for, the
first namespace of its environments, or that of its builds where projects have their own.
*/}}
{{- define "schnitzel.leases" -}}
{{- $found := list -}}
{{- range $name, $cluster := .Values.settings.clusters | default dict -}}
{{- if not $cluster.kubeconfig -}}
{{- $own := list -}}
{{- range $environment, $its := $.Values.settings.environments -}}
{{- if eq $its.cluster $name -}}
{{- $own = append $own ($its.namespace | default "{environment}" | replace "{environment}" $environment) -}}
{{- end -}}
{{- end -}}
{{- if contains "{project}" ($own | join ",") -}}
{{- $found = append $found (($cluster.build | default dict).namespace | default "schnitzel-builds") -}}
{{- else if $own -}}
{{- $found = append $found ($own | sortAlpha | first) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $found | uniq | join "," }}
{{- end }}
