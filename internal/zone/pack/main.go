// Command pack writes ../zones.zst, the time zones of the Go toolchain that runs it. Run it by go generate ./internal/zone.
package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if err := run(filepath.Join(os.Getenv("GOROOT"), "lib", "time", "zoneinfo.zip"), "zones.zst"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run packs the zone files of a zip. Zones that are equal, such as old names, share one file.
func run(from, to string) error {
	archive, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer archive.Close()
	var index, files bytes.Buffer
	offsets := map[string]int{}
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		at, known := offsets[string(data)]
		if !known {
			at = files.Len()
			offsets[string(data)] = at
			files.Write(data)
		}
		fmt.Fprintf(&index, "%s %d %d\n", f.Name, at, len(data))
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	if err != nil {
		return err
	}
	index.WriteByte('\n')
	return os.WriteFile(to, w.EncodeAll(append(index.Bytes(), files.Bytes()...), nil), 0o644)
}
