{{/* What no schema can say about several values at once. */}}
{{- define "spanstream.checks" -}}
{{- $registered := (first (.Files.Get "files/topics.yaml" | fromYaml).topics).partitions -}}
{{- if and .Values.topics.job (gt (int .Values.global.kafka.partitions) (int $registered)) }}
{{- fail (printf "global.kafka.partitions (%d) exceeds the %d that the topics job creates; make topics with more by strimzi.topics or by hand, and set topics.job to false" (int .Values.global.kafka.partitions) (int $registered)) }}
{{- end }}
{{- if eq .Values.encoder.workload "RayService" }}
{{- if gt (int .Values.encoder.ray.replicas) (int .Values.encoder.ray.maxReplicas) }}
{{- fail (printf "encoder.ray.replicas (%d) must not exceed encoder.ray.maxReplicas (%d)" (int .Values.encoder.ray.replicas) (int .Values.encoder.ray.maxReplicas)) }}
{{- end }}
{{- if and (not .Values.encoder.ray.autoscaler) (ne (int .Values.encoder.ray.replicas) (int .Values.encoder.ray.maxReplicas)) }}
{{- fail "encoder.ray.maxReplicas above encoder.ray.replicas needs encoder.ray.autoscaler: nothing else adds workers" }}
{{- end }}
{{- if ne .Values.encoder.autoscaling.kind "none" }}
{{- fail "encoder.autoscaling.kind must be none with workload RayService, where encoder.ray says how many there are" }}
{{- end }}
{{- end }}
{{- range $name := list "ingestorApi" "ingestorWorker" "embedder" "indexer" "gateway" }}
{{- if ne (index $.Values $name).workload "Deployment" }}
{{- fail (printf "%s.workload must be Deployment: the encoder alone runs on Ray" $name) }}
{{- end }}
{{- end }}
{{- end }}
