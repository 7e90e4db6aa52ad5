module github.com/sidecar-kit/sidecar

go 1.26
