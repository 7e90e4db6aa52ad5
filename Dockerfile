# The build context is dist/image, which `make image` lays out: nothing is pulled, no
# build stage runs, and whatever is not listed by .ci/rootfs cannot end up in the image.
FROM scratch

ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z

LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="Every common pod helper as one static binary; args choose the role" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="https://github.com/sidecar-kit/sidecar" \
      org.opencontainers.image.documentation="https://github.com/sidecar-kit/sidecar/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="sidecar-kit" \
      org.opencontainers.image.base.name="scratch"

COPY rootfs/ /

# git-sync's image presets it too: manifests that replace that image rely on it.
ENV GITSYNC_ROOT=/git

# Numeric, because runAsNonRoot cannot be checked against a name.
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/sidecar"]
