{{/* The Job's name, which ends in what its pod's template is. */}}
{{- define "spanstream.migrationJob" -}}
{{ include "service.of" (list . (printf "migration-%s" (include "spanstream.migrationPod" . | sha256sum | trunc 8))) }}
{{- end }}

{{/* Its variables that are not secret: texts are cut with the ingestor's limits, the log and the store are the services'. */}}
{{- define "spanstream.migrationEnvironment" -}}
{{- $context := dict "Chart" (dict "Name" "migration") "Values" .Values "Release" .Release "Template" .Template -}}
ADMIN_HOST: "0.0.0.0"
ADMIN_PORT: "9464"
SPANSTREAM_DATA: /tmp/migration
LOG_URL: {{ printf "kafka://%s" .Values.global.kafka.bootstrapServers | quote }}
LOG_CA_FILE: {{ include "service.logCaFile" . | quote }}
LOG_USERNAME: {{ tpl .Values.global.kafka.username $context | quote }}
STORE_URL: {{ .Values.global.store.url | quote }}
STORE_CA_FILE: {{ include "service.storeCaFile" . | quote }}
STORE_COMPRESSION: {{ .Values.global.index.compression | quote }}
BLOB_URL: {{ .Values.global.blobs.url | quote }}
SPANS: {{ .Values.global.index.spans | quote }}
EMBEDDER_SPAN_SIMILARITY: {{ include "service.scalar" ((.Values.embedder.settings | default dict).EMBEDDER_SPAN_SIMILARITY | default "") | quote }}
ENCODER_URL: {{ include "spanstream.encoderUrl" . }}
NEXT_ENCODER_URL: {{ include "spanstream.nextEncoderUrl" . }}
MIGRATION_RATE: {{ include "service.scalar" .Values.migration.rate | quote }}
MIGRATION_LOOPS: {{ .Values.migration.loops | quote }}
MIGRATION_OVERLAP: {{ include "service.scalar" .Values.migration.overlap | quote }}
MIGRATION_SUCCESS_DROP: {{ include "service.scalar" .Values.migration.successDrop | quote }}
MIGRATION_BEGIN: {{ .Values.migration.begin | quote }}
{{- range $name, $value := .Values.migration.settings }}
{{ $name }}: {{ include "service.scalar" $value | quote }}
{{- end }}
{{- range $name, $value := .Values.ingestorWorker.settings }}
{{- if hasPrefix "INGESTOR_" $name }}
{{ $name }}: {{ include "service.scalar" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Its pod's template: it opens the log, the store and the blobs, the last as the parse worker does. */}}
{{- define "spanstream.migrationPod" -}}
{{- $context := dict "Chart" (dict "Name" "migration") "Values" .Values "Release" .Release "Template" .Template -}}
{{- $worker := mergeOverwrite (dict) $context (dict "Values" .Subcharts.ingestorWorker.Values) -}}
{{- $secrets := dict "STORE_API_KEY" .Values.global.store.apiKeySecret -}}
{{- range $name, $path := .Values.ingestorWorker.secrets }}{{ $_ := set $secrets $name (include "service.reference" (list $worker (printf "ingestorWorker.secrets.%s" $name) $path) | fromJson) }}{{ end -}}
{{- range $name, $path := .Values.migration.secrets }}{{ $_ := set $secrets $name (include "service.reference" (list $context (printf "migration.secrets.%s" $name) $path) | fromJson) }}{{ end -}}
metadata:
  {{- include "service.podMetadata" (list . "migration" dict (dict "checksum/release" (include "spanstream.nextRelease" .))) | nindent 2 }}
spec:
  serviceAccountName: {{ include "service.of" (list . "migration") }}
  restartPolicy: OnFailure
  {{- include "service.podCommon" . | nindent 2 }}
  {{- include "service.nodes" (list . dict) | nindent 2 }}
  terminationGracePeriodSeconds: 30
  containers:
    - name: migration
      image: {{ include "service.image" (list . "migrator") | quote }}
      imagePullPolicy: {{ .Values.global.image.pullPolicy }}
      command: [python, -m, spanstream.standalone.migration]
      env:
        {{- range $name, $value := include "spanstream.migrationEnvironment" . | fromYaml }}
        {{- if $value }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
        {{- end }}
        {{- range $name, $reference := $secrets }}
        {{- if $reference.name }}
        - name: {{ $name | quote }}
          valueFrom:
            secretKeyRef:
              name: {{ $reference.name | quote }}
              key: {{ $reference.key | quote }}
        {{- end }}
        {{- end }}
      ports:
        - name: admin
          containerPort: 9464
      {{- include "service.probes" 120 | nindent 6 }}
      resources:
        {{- toYaml .Values.migration.resources | nindent 8 }}
      securityContext:
        {{- include "service.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if .Values.global.kafka.caSecret.name }}
        - name: kafka
          mountPath: /etc/spanstream/kafka
          readOnly: true
        {{- end }}
        {{- if .Values.global.store.caSecret.name }}
        - name: store
          mountPath: /etc/spanstream/store
          readOnly: true
        {{- end }}
        {{- range $name, $volume := .Values.ingestorWorker.volumes }}
        {{- if tpl $volume.claim $worker }}
        - name: {{ $name | quote }}
          mountPath: {{ $volume.mountPath | quote }}
        {{- end }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- if .Values.global.kafka.caSecret.name }}
    {{- include "service.secretVolume" (list "kafka" .Values.global.kafka.caSecret "ca.crt") | nindent 4 }}
    {{- end }}
    {{- if .Values.global.store.caSecret.name }}
    {{- include "service.secretVolume" (list "store" .Values.global.store.caSecret "ca.crt") | nindent 4 }}
    {{- end }}
    {{- range $name, $volume := .Values.ingestorWorker.volumes }}
    {{- with tpl $volume.claim $worker }}
    - name: {{ $name | quote }}
      persistentVolumeClaim:
        claimName: {{ . | quote }}
    {{- end }}
    {{- end }}
{{- end }}
