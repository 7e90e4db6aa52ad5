package zone

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the other opinion
)

const renew = "renew the zones by: go generate ./internal/zone"

// toolchain returns the zone files that come with Go, by name.
func toolchain(t *testing.T) map[string][]byte {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(os.Getenv("GOROOT"), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skipf("this toolchain brings no zone files: %v", err)
	}
	defer archive.Close()
	files := map[string][]byte{}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func database(t *testing.T) []byte {
	t.Helper()
	all, err := unpack()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func names(t *testing.T) (all []string) {
	index, _, ok := strings.Cut(string(database(t)), "\n\n")
	if !ok {
		t.Fatal("the database has no index")
	}
	for line := range strings.SplitSeq(index, "\n") {
		name, _, _ := strings.Cut(line, " ")
		all = append(all, name)
	}
	return all
}

func TestZonesAreThoseOfTheToolchain(t *testing.T) {
	want := toolchain(t)
	if got := len(names(t)); got != len(want) {
		t.Errorf("%d zones; want %d: %s", got, len(want), renew)
	}
	all := database(t)
	for name, file := range want {
		if got, known := find(all, name); !known || !bytes.Equal(got, file) {
			t.Errorf("find(%q) = %d bytes, %v; want the %d bytes of Go: %s", name, len(got), known, len(file), renew)
		}
	}
}

// TestOffsetsAreThoseOfTheLibrary loads each zone without the files of the system, and holds it beside time/tzdata. There
// the files of the system go first, so only years are compared that databases of any age tell in the same way.
func TestOffsetsAreThoseOfTheLibrary(t *testing.T) {
	from, to := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range names(t) {
		got, err := embedded(name)
		if err != nil || got.String() != name {
			t.Errorf("embedded(%q) = %s, %v", name, got, err)
			continue
		}
		want, err := time.LoadLocation(name)
		if err != nil {
			t.Errorf("time.LoadLocation(%q): %v", name, err)
			continue
		}
		for u := from; u.Before(to); u = u.Add(61 * time.Hour) {
			_, a := u.In(got).Zone()
			_, b := u.In(want).Zone()
			if a != b {
				t.Errorf("%s in %s is %d s from UTC; want %d", u, name, a, b)
				break
			}
		}
	}
}

func TestLoad(t *testing.T) {
	tests := []struct{ name, want string }{
		{"", "UTC"}, {"UTC", "UTC"}, {"Local", time.Local.String()},
		{"Europe/Berlin", "Europe/Berlin"}, {"Australia/Lord_Howe", "Australia/Lord_Howe"}, {"EST5EDT", "EST5EDT"}, {"Etc/GMT+1", "Etc/GMT+1"},
		{"Europe", ""}, {"Europe/", ""}, {"Mars/Olympus", ""}, {"JST-9", ""}, {" ", ""}, {"Europe/Berlin 0", ""}, {"Europe/Berlin\n", ""},
		{"../etc/passwd", ""}, {"Europe/../UTC", ""}, {"/etc/localtime", ""}, {`\Europe`, ""}, {"Europe/Berlin\x00", ""},
	}
	for _, tt := range tests {
		loc, err := Load(tt.name)
		got := ""
		if err == nil {
			got = loc.String()
		}
		if got != tt.want {
			t.Errorf("Load(%q) = %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestFindRefusesADamagedIndex(t *testing.T) {
	for _, index := range []string{"", "A", "A ", "A 0", "A 0 5", "A 4 1", "A -1 2", "A 1 -1", "A x y", "AA 0 4", "A 9223372036854775807 1"} {
		if data, known := find([]byte(index+"\n\nabcd"), "A"); known {
			t.Errorf("find in %q = %q; want nothing", index, data)
		}
	}
	if data, known := find([]byte("B 0 1\nA 1 2\n\nabcd"), "A"); !known || string(data) != "bc" {
		t.Errorf("find = %q, %v; want bc", data, known)
	}
}

func TestLocalIsTheZoneOfTheEnvironment(t *testing.T) {
	before := time.Local
	defer func() { time.Local = before }()
	time.Local = time.FixedZone("UTC", 0) // what the library makes of a name whose file is not there
	for value, want := range map[string]string{
		"Europe/Berlin": "Europe/Berlin", ":Asia/Tokyo": "Asia/Tokyo", "": "UTC", ":": "UTC", "UTC": "UTC", "Local": "UTC",
		"JST-9": "UTC", "/usr/share/zoneinfo/Asia/Tokyo": "UTC", "../Asia/Tokyo": "UTC",
	} {
		t.Setenv("TZ", value)
		if got := Local(); got.String() != want || want == "UTC" && got != time.Local {
			t.Errorf("with TZ=%q Local() = %s; want %s", value, got, want)
		}
	}
	time.Local = time.FixedZone("Asia/Tokyo", 9*60*60)
	t.Setenv("TZ", "Asia/Tokyo")
	if got := Local(); got != time.Local {
		t.Errorf("Local() = %p; want what the library loaded, %p", got, time.Local)
	}
}

// TestLoadGivesMemoryBack proves that a location holds nothing of the unpacked database, a quarter of a megabyte.
func TestLoadGivesMemoryBack(t *testing.T) {
	all := database(t)
	data, _ := find(all, "Europe/Berlin")
	loc, err := time.LoadLocationFromTZData("Europe/Berlin", data)
	if err != nil {
		t.Fatal(err)
	}
	clear(all)
	if got := fmt.Sprint(time.Unix(1_780_000_000, 0).In(loc)); got != "2026-05-28 22:26:40 +0200 CEST" {
		t.Errorf("1780000000 in Europe/Berlin = %s; want 2026-05-28 22:26:40 +0200 CEST", got)
	}
}

func BenchmarkUnpack(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		all, err := unpack()
		if err != nil {
			b.Fatal(err)
		}
		if _, known := find(all, "Pacific/Wallis"); !known {
			b.Fatal("no Pacific/Wallis")
		}
	}
}
