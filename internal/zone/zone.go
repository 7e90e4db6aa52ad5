// Package zone loads time zones where there are no zone files, as in an image from scratch. The database is embedded as
// time/tzdata does it, in an eighth of the space: each load unpacks it (under a millisecond) and gives the memory back.
// Who loads many zones keeps them. Used by main and by roles that take names of zones.
package zone

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

//go:generate go run ./pack

// packed is what pack wrote: lines "NAME OFFSET LENGTH", an empty line, and the zone files, compressed.
//
//go:embed zones.zst
var packed []byte

// Load is time.LoadLocation with a database of its own behind the files of the system, which come first: "" and "UTC"
// are UTC, "Local" is time.Local, other names are of the IANA database; never paths.
func Load(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	if err == nil {
		return loc, nil
	}
	if own, ownErr := embedded(name); own != nil || ownErr != nil {
		return own, ownErr
	}
	return nil, err
}

// embedded returns nil for a name that the database does not have.
func embedded(name string) (*time.Location, error) {
	database, err := unpack()
	if err != nil {
		return nil, err
	}
	data, known := find(database, name)
	if !known {
		return nil, nil
	}
	return time.LoadLocationFromTZData(name, data) // copies what it keeps
}

// Local is the zone that $TZ asks for, which the library takes for UTC where there are no zone files. main assigns it to
// time.Local before anything reads the clock. A name that nobody knows stays what the library made of it.
func Local() *time.Location {
	name := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if name == "" || name[0] == '/' || name == time.Local.String() {
		return time.Local
	}
	loc, err := Load(name)
	if err != nil {
		return time.Local
	}
	return loc
}

func unpack() ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("embedded time zones: %w", err)
	}
	defer d.Close()
	database, err := d.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("embedded time zones: %w", err)
	}
	return database, nil
}

// find returns the zone file of a name.
func find(database []byte, name string) (data []byte, known bool) {
	index, files, _ := bytes.Cut(database, []byte("\n\n"))
	prefix := []byte(name + " ")
	for line := range bytes.SplitSeq(index, []byte("\n")) {
		rest, ok := bytes.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		var from, n int
		if _, err := fmt.Sscanf(string(rest), "%d %d", &from, &n); err != nil || from < 0 || n < 0 || from > len(files)-n {
			return nil, false
		}
		return files[from : from+n], true
	}
	return nil, false
}
