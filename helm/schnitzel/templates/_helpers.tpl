{{/* What all objects of a release are called. */}}
{{- define "schnitzel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "schnitzel.deployer.fullname" -}}
{{ include "schnitzel.fullname" . }}-deployer
{{- end }}

{{- define "schnitzel.mlflow.fullname" -}}
{{ include "schnitzel.fullname" . }}-mlflow
{{- end }}

{{- define "schnitzel.deployer.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "schnitzel.deployer.fullname" .) }}
{{- end }}

{{/* What Deployments and Services know a component's pods by. In: {root, component}. */}}
{{- define "schnitzel.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/*
Labels of every object. In: {root, component}. None of them is a model's: the Deployer never takes
an object of the platform for one of its own.
*/}}
{{- define "schnitzel.labels" -}}
{{ include "schnitzel.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: schnitzel
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- with .root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A component's metadata, in the release's own namespace. In: {root, component}. */}}
{{- define "schnitzel.metadata" -}}
name: {{ include (printf "schnitzel.%s.fullname" .component) .root | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "schnitzel.labels" . | nindent 2 }}
{{- end }}

{{/* A value from a secret, as an environment variable has it. In: {secret, key}. */}}
{{- define "schnitzel.fromSecret" -}}
valueFrom:
  secretKeyRef:
    name: {{ .secret | quote }}
    key: {{ .key | quote }}
{{- end }}

{{/* The Pod Security Standard `restricted`. */}}
{{- define "schnitzel.pod-security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "schnitzel.container-security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/* What is promised; memory is also the most. In: {cpu, memory}. */}}
{{- define "schnitzel.resources" -}}
{{- $requests := dict -}}
{{- with .cpu }}{{ $_ := set $requests "cpu" . }}{{ end -}}
{{- with .memory }}{{ $_ := set $requests "memory" . }}{{ end -}}
{{- if $requests -}}
resources:
  requests:
    {{- toYaml $requests | nindent 4 }}
  {{- with .memory }}
  limits:
    memory: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A claim's spec. In: {size, storageClassName}. */}}
{{- define "schnitzel.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClassName }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size | quote }}
{{- end }}

{{/* Whether the Deployer keeps anything of its own: "true" or nothing. */}}
{{- define "schnitzel.deployer.persists" -}}
{{- if and .Values.persistence.enabled (not .Values.database) }}true{{ end -}}
{{- end }}

{{/* Whether MLflow keeps anything of its own: "true" or nothing. */}}
{{- define "schnitzel.mlflow.persists" -}}
{{- if and .Values.mlflow.persistence.enabled (not (and .Values.mlflow.database .Values.mlflow.artifactsDestination)) }}true{{ end -}}
{{- end }}

{{/* The names of a component's Service in a cluster, comma-separated. In: {root, component}. */}}
{{- define "schnitzel.hosts" -}}
{{- $name := include (printf "schnitzel.%s.fullname" .component) .root -}}
{{- $namespace := .root.Release.Namespace -}}
{{ $name }},{{ $name }}.{{ $namespace }},{{ $name }}.{{ $namespace }}.svc,{{ $name }}.{{ $namespace }}.svc.cluster.local
{{- end }}

{{/* platform.yaml: the settings, and what the other values say of them. */}}
{{- define "schnitzel.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $url := printf "http://%s.%s.svc:%d" (include "schnitzel.deployer.fullname" .) .Release.Namespace (int64 .Values.service.port) -}}
{{- $deployer := dict
  "host" "0.0.0.0"
  "port" (int64 .Values.service.port)
  "public_url" (.Values.service.publicUrl | default $url)
-}}
{{- if .Values.tokens }}{{ $_ := set $deployer "tokens_file" "/etc/schnitzel/secrets/tokens.json" }}{{ end -}}
{{- if .Values.webhookSecret }}{{ $_ := set $deployer "webhook_secret_ref" "file:/etc/schnitzel/secrets/webhook-secret" }}{{ end -}}
{{- if .Values.database }}{{ $_ := set $deployer "database_ref" "env:SCHNITZEL_DATABASE_URL" }}{{ end -}}
{{- $computed := dict "deployer" $deployer -}}
{{- if .Values.mlflow.enabled -}}
{{- $_ := set $computed "mlflow" (dict "url" (printf "http://%s.%s.svc:5000" (include "schnitzel.mlflow.fullname" .) .Release.Namespace)) -}}
{{- end -}}
{{ mergeOverwrite $settings $computed | toYaml }}
{{- end }}

{{/* What a probe asks the Deployer, under a name that it knows. In: the path. */}}
{{- define "schnitzel.deployer.ask" -}}
path: {{ . }}
port: http
httpHeaders:
  - name: Host
    value: localhost
{{- end }}
