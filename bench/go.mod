module github.com/sidecar-kit/sidecar/bench

go 1.26.0
