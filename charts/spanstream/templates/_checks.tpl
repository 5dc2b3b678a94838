{{/* What no schema can say about several values at once, or only without the reason. */}}
{{- define "spanstream.checks" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}
{{- fail (printf "the release's name (%s) must begin with a letter and have no dots: Services are named after it" .Release.Name) }}
{{- end }}
{{- if and .Values.global.kafka.passwordSecret.name (not .Values.global.kafka.username) }}
{{- fail "global.kafka.passwordSecret.name needs global.kafka.username: nobody would log in with it" }}
{{- end }}
{{- if and .Values.global.kafka.username (not .Values.global.kafka.caSecret.name) }}
{{- fail "global.kafka.username needs global.kafka.caSecret.name, a Secret with the certificates of who signs the brokers': without TLS nobody logs in" }}
{{- end }}
{{- if and .Values.global.kafka.username (not .Values.global.kafka.passwordSecret.name) }}
{{- fail "global.kafka.username needs global.kafka.passwordSecret.name, the Secret with its password" }}
{{- end }}
{{- if and .Values.global.store.caSecret.name (not (hasPrefix "https:" .Values.global.store.url)) }}
{{- fail (printf "global.store.caSecret.name needs a global.store.url that begins with https:, not %s: nothing else shows a certificate" .Values.global.store.url) }}
{{- end }}
{{- range $made := list "topics" "users" }}
{{- if index $.Values.strimzi $made }}
{{- if not $.Values.strimzi.cluster }}
{{- fail (printf "strimzi.%s needs strimzi.cluster, the name of the Kafka whose operators are to make them" $made) }}
{{- end }}
{{- if $.Values.topics.job }}
{{- fail (printf "topics.job must be false with strimzi.%s: %s" $made (ternary "one of the two makes the topics" "the job has none of the users that it makes; let strimzi.topics make the topics, or make them by hand" (eq $made "topics"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.ingress.enabled }}
{{- range $needed, $what := dict "host" "at which name it is reached" "tlsSecret" "the Secret with the certificate of that name and of ingest. before it: keys and documents do not go over plain HTTP" }}
{{- if not (index $.Values.ingress $needed) }}
{{- fail (printf "ingress.enabled needs ingress.%s, %s" $needed $what) }}
{{- end }}
{{- end }}
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
{{- $mount := (((index $.Values $name).volumes | default dict).blobs | default dict).mountPath }}
{{- if not $mount }}
{{- fail (printf "%s.volumes.blobs must say where global.blobs.url (%s) is mounted" $name $.Values.global.blobs.url) }}
{{- end }}
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
{{- range $name := (include "spanstream.encoders" . | fromJson).names }}
{{- $encoder := index $.Values $name }}
{{- if and (eq $name "otherEncoder") (not ($encoder.settings | default dict).ENCODER_MODEL) }}
{{- fail "otherEncoder.settings.ENCODER_MODEL must name its model once global.migration.to or global.index.encoder asks for it: one with the default model too would be no other release" }}
{{- end }}
{{- if and $.Values.global.migration.to (ne $.Values.global.migration.to $.Values.global.index.encoder) }}
{{- $models := list (index ($.Values.encoder.settings | default dict) "ENCODER_MODEL" | default "minilm") (index ($.Values.otherEncoder.settings | default dict) "ENCODER_MODEL") }}
{{- $same := or (eq (first $models) "minilm") (eq (toJson $.Values.encoder.volumes) (toJson $.Values.otherEncoder.volumes)) }}
{{- if and $same (eq (first $models) (last $models)) }}
{{- fail (printf "encoder.settings.ENCODER_MODEL and otherEncoder.settings.ENCODER_MODEL (%s) are the same model: there is no other release that documents could move to" (last $models)) }}
{{- end }}
{{- end }}
{{- if eq $encoder.workload "RayService" }}
{{- $service := include "service.of" (list $ (kebabcase $name)) }}
{{- if gt (len $service) 47 }}
{{- fail (printf "the release's name (%s) must have %d characters at most with %s.workload RayService: KubeRay refuses %s, which has more than 47" $.Release.Name (sub 46 (len (kebabcase $name))) $name $service) }}
{{- end }}
{{- if gt (int $encoder.ray.replicas) (int $encoder.ray.maxReplicas) }}
{{- fail (printf "%s.ray.replicas (%d) must not exceed %s.ray.maxReplicas (%d)" $name (int $encoder.ray.replicas) $name (int $encoder.ray.maxReplicas)) }}
{{- end }}
{{- if and (not $encoder.ray.autoscaler) (ne (int $encoder.ray.replicas) (int $encoder.ray.maxReplicas)) }}
{{- fail (printf "%s.ray.maxReplicas above %s.ray.replicas needs %s.ray.autoscaler: nothing else adds workers" $name $name $name) }}
{{- end }}
{{- $requests := $encoder.resources.requests }}
{{- $cores := toString $requests.cpu }}
{{- $cores = ternary (divf (trimSuffix "m" $cores) 1000 | ceil) (ceil $cores) (hasSuffix "m" $cores) }}
{{- if gt (float64 $encoder.ray.cpusPerReplica) (float64 $cores) }}
{{- fail (printf "%s.ray.cpusPerReplica (%v) must not exceed %s.resources.requests.cpu (%v), which is what a worker has: no replica would ever be placed" $name $encoder.ray.cpusPerReplica $name $requests.cpu) }}
{{- end }}
{{- if gt (float64 $encoder.ray.gpusPerReplica) (float64 (index $encoder.resources.limits "nvidia.com/gpu" | default 0)) }}
{{- fail (printf "%s.ray.gpusPerReplica (%v) must not exceed %s.resources.limits.nvidia.com/gpu: no replica would ever be placed" $name $encoder.ray.gpusPerReplica $name) }}
{{- end }}
{{- if and (index $encoder.resources.limits "nvidia.com/gpu") (eq (float64 $encoder.ray.gpusPerReplica) 0.0) }}
{{- fail (printf "%s.ray.gpusPerReplica must be above 0 with %s.resources.limits.nvidia.com/gpu: Ray shows no GPU to a replica that asks for none" $name $name) }}
{{- end }}
{{- $device := ($encoder.settings | default dict).ENCODER_DEVICE | default "cpu" }}
{{- if ne (eq $device "cpu") (eq (float64 $encoder.ray.gpusPerReplica) 0.0) }}
{{- fail (printf "%s.settings.ENCODER_DEVICE (%s) and %s.ray.gpusPerReplica (%v) must agree: cuda with GPUs, cpu without" $name $device $name $encoder.ray.gpusPerReplica) }}
{{- end }}
{{- if not (regexMatch "^[0-9]+(Mi|Gi)$" $encoder.shmSize) }}
{{- fail (printf "%s.shmSize (%q) must be in Mi or Gi with workload RayService: Ray's object store is in /dev/shm" $name $encoder.shmSize) }}
{{- end }}
{{- if ne $encoder.autoscaling.kind "none" }}
{{- fail (printf "%s.autoscaling.kind must be none with workload RayService, where %s.ray says how many there are" $name $name) }}
{{- end }}
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
{{- range $name, $address := dict "global.kafka.bootstrapServers" .Values.global.kafka.bootstrapServers "global.store.url" .Values.global.store.url "migration.settings.TRACES_URL" ((.Values.migration.settings | default dict).TRACES_URL | default "") }}
{{- include "service.portCheck" (list $name $address) }}
{{- end }}
{{- range $name := list "topics" "migration" "smoke" }}
{{- include "service.resourceChecks" (list (printf "%s.resources" $name) (index $.Values $name).resources) }}
{{- end }}
{{- range $name := (include "spanstream.encoders" . | fromJson).names }}
{{- $ray := (index $.Values $name).ray }}
{{- include "service.resourceChecks" (list (printf "%s.ray.head.resources" $name) $ray.head.resources) }}
{{- include "service.resourceChecks" (list (printf "%s.ray.autoscalerResources" $name) $ray.autoscalerResources) }}
{{- end }}
{{- if and (gt (float64 .Values.migration.rate) 0.0) (lt (float64 .Values.migration.rate) 0.1) }}
{{- fail (printf "migration.rate (%v) must be 0, as fast as it goes, or 0.1 documents a second and more" .Values.migration.rate) }}
{{- end }}
{{- end }}
