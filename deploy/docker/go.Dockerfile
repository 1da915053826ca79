# Builds one of the programs: docker build --build-arg PROGRAM=commentator -f deploy/docker/go.Dockerfile .
FROM golang:1.26-bookworm AS build
ARG PROGRAM
ARG VERSION=dev
ARG REVISION=
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.revision=${REVISION}" -o /out/program "./cmd/${PROGRAM}" \
    && mkdir -p /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/program /usr/local/bin/program
# The programs keep their state in the working directory; an empty folder of the
# user's own gives a named volume the right owner.
COPY --from=build --chown=nonroot:nonroot /out/data /var/lib/technoshare
WORKDIR /var/lib/technoshare
ENTRYPOINT ["/usr/local/bin/program"]
