{{/* What no schema can say about several values at once. */}}
{{- define "spanstream.checks" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}
{{- fail (printf "the release's name (%s) must begin with a letter and have no dots: Services are named after it" .Release.Name) }}
{{- end }}
{{- if and .Values.global.kafka.passwordSecret.name (not .Values.global.kafka.username) }}
{{- fail "global.kafka.passwordSecret.name needs global.kafka.username: nobody would log in with it" }}
{{- end }}
{{- if and .Values.strimzi.users (not .Values.global.kafka.username) }}
{{- fail "strimzi.users needs global.kafka.username: nobody would log in as the users that it makes" }}
{{- end }}
{{- if gt (int .Values.strimzi.minInsyncReplicas) (int .Values.strimzi.replicas) }}
{{- fail (printf "strimzi.minInsyncReplicas (%d) must not exceed strimzi.replicas (%d): no record would ever be acknowledged" (int .Values.strimzi.minInsyncReplicas) (int .Values.strimzi.replicas)) }}
{{- end }}
{{- if hasPrefix "file:" .Values.global.blobs.url }}
{{- $folder := trimPrefix "file:" .Values.global.blobs.url | trimPrefix "//" }}
{{- range $name := list "ingestorApi" "ingestorWorker" }}
{{- $mount := (index $.Values $name).volumes.blobs.mountPath }}
{{- if not (hasPrefix (printf "%s/" $mount) (printf "%s/" $folder)) }}
{{- fail (printf "global.blobs.url (%s) must be in %s, where %s.volumes.blobs is mounted: nothing else can be written to" $.Values.global.blobs.url $mount $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.global.network.policies (not (hasPrefix "file:" .Values.global.blobs.url)) (not .Values.global.blobs.egress) }}
{{- fail "global.blobs.egress must allow what global.blobs.url names: network policies let the ingestor reach nothing else" }}
{{- end }}
{{- $registered := (first (.Files.Get "files/topics.yaml" | fromYaml).topics).partitions -}}
{{- if and .Values.topics.job (gt (int .Values.global.kafka.partitions) (int $registered)) }}
{{- fail (printf "global.kafka.partitions (%d) exceeds the %d that the topics job creates; make topics with more by strimzi.topics or by hand, and set topics.job to false" (int .Values.global.kafka.partitions) (int $registered)) }}
{{- end }}
{{- if eq .Values.encoder.workload "RayService" }}
{{- $service := include "service.of" (list . "encoder") }}
{{- if gt (len $service) 47 }}
{{- fail (printf "the release's name (%s) must have 39 characters at most with encoder.workload RayService: KubeRay refuses %s, which has more than 47" .Release.Name $service) }}
{{- end }}
{{- if gt (int .Values.encoder.ray.replicas) (int .Values.encoder.ray.maxReplicas) }}
{{- fail (printf "encoder.ray.replicas (%d) must not exceed encoder.ray.maxReplicas (%d)" (int .Values.encoder.ray.replicas) (int .Values.encoder.ray.maxReplicas)) }}
{{- end }}
{{- if and (not .Values.encoder.ray.autoscaler) (ne (int .Values.encoder.ray.replicas) (int .Values.encoder.ray.maxReplicas)) }}
{{- fail "encoder.ray.maxReplicas above encoder.ray.replicas needs encoder.ray.autoscaler: nothing else adds workers" }}
{{- end }}
{{- $requests := .Values.encoder.resources.requests }}
{{- $cores := toString $requests.cpu }}
{{- $cores = ternary (divf (trimSuffix "m" $cores) 1000 | ceil) (ceil $cores) (hasSuffix "m" $cores) }}
{{- if gt (float64 .Values.encoder.ray.cpusPerReplica) (float64 $cores) }}
{{- fail (printf "encoder.ray.cpusPerReplica (%v) must not exceed encoder.resources.requests.cpu (%v), which is what a worker has: no replica would ever be placed" .Values.encoder.ray.cpusPerReplica $requests.cpu) }}
{{- end }}
{{- if gt (float64 .Values.encoder.ray.gpusPerReplica) (float64 (index .Values.encoder.resources.limits "nvidia.com/gpu" | default 0)) }}
{{- fail (printf "encoder.ray.gpusPerReplica (%v) must not exceed encoder.resources.limits.nvidia.com/gpu: no replica would ever be placed" .Values.encoder.ray.gpusPerReplica) }}
{{- end }}
{{- if and (index .Values.encoder.resources.limits "nvidia.com/gpu") (eq (float64 .Values.encoder.ray.gpusPerReplica) 0.0) }}
{{- fail "encoder.ray.gpusPerReplica must be above 0 with encoder.resources.limits.nvidia.com/gpu: Ray shows no GPU to a replica that asks for none" }}
{{- end }}
{{- $device := (.Values.encoder.settings | default dict).ENCODER_DEVICE | default "cpu" }}
{{- if ne (eq $device "cpu") (eq (float64 .Values.encoder.ray.gpusPerReplica) 0.0) }}
{{- fail (printf "encoder.settings.ENCODER_DEVICE (%s) and encoder.ray.gpusPerReplica (%v) must agree: cuda with GPUs, cpu without" $device .Values.encoder.ray.gpusPerReplica) }}
{{- end }}
{{- if not (regexMatch "^[0-9]+(Mi|Gi)$" .Values.encoder.shmSize) }}
{{- fail (printf "encoder.shmSize (%q) must be in Mi or Gi with workload RayService: Ray's object store is in /dev/shm" .Values.encoder.shmSize) }}
{{- end }}
{{- if ne .Values.encoder.autoscaling.kind "none" }}
{{- fail "encoder.autoscaling.kind must be none with workload RayService, where encoder.ray says how many there are" }}
{{- end }}
{{- end }}
{{- range $name := list "ingestorApi" "gateway" }}
{{- range $setting := list "AUTH_JWT_ISSUER" "AUTH_JWT_AUDIENCE" }}
{{- if ne (empty $.Values.global.auth.jwksSecret.name) (not (hasKey ((index $.Values $name).settings | default dict) $setting)) }}
{{- fail (printf "global.auth.jwksSecret.name and %s.settings.%s must be set together: no token is taken without either" $name $setting) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := list "ingestorApi" "ingestorWorker" "embedder" "indexer" "gateway" }}
{{- if ne (index $.Values $name).workload "Deployment" }}
{{- fail (printf "%s.workload must be Deployment: the encoder alone runs on Ray" $name) }}
{{- end }}
{{- end }}
{{- end }}
