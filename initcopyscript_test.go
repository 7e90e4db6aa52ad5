package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// copyCommands are for scripts that look at files closely.
func copyCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"archive":  archive,
		"digest":   digest,
		"state":    state,
		"mode":     mode,
		"mtime":    mtime,
		"hardlink": hardLink,
		"fifo":     fifo,
		"listing":  listing,
		"same":     compareTexts,
	}
}

// archive packs a folder: "archive out.tar|out.tar.gz|out.zip|out.war DIR".
func archive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: archive FILE DIR")
	}
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { ts.Check(out.Close()) }()
	dir := os.DirFS(ts.MkAbs(args[1]))
	switch {
	case strings.HasSuffix(args[0], ".tar"):
		w := tar.NewWriter(out)
		ts.Check(w.AddFS(dir))
		ts.Check(w.Close())
	case strings.HasSuffix(args[0], ".tar.gz"):
		z := gzip.NewWriter(out)
		w := tar.NewWriter(z)
		ts.Check(w.AddFS(dir))
		ts.Check(w.Close())
		ts.Check(z.Close())
	default:
		w := zip.NewWriter(out)
		ts.Check(w.AddFS(dir))
		ts.Check(w.Close())
	}
}

// digest sets a variable to sha256:... of a file: "digest NAME FILE".
func digest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: digest NAME FILE")
	}
	f, err := os.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	ts.Check(err)
	ts.Setenv(args[0], fmt.Sprintf("sha256:%x", h.Sum(nil)))
}

// state sets a variable to what the kernel says of everything below a folder (or of a file), so that two states can be
// compared: "state NAME PATH".
func state(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: state NAME PATH")
	}
	h := sha256.New()
	err := filepath.WalkDir(ts.MkAbs(args[1]), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Fprintln(h, path, st.Ino, st.Mode, st.Size, st.Mtim, st.Ctim)
		return nil
	})
	ts.Check(err)
	ts.Setenv(args[0], fmt.Sprintf("%x", h.Sum(nil)))
}

// mode compares permission bits, setgid and the like included: "mode FILE 2750".
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] mode FILE OCTAL")
	}
	var st syscall.Stat_t
	ts.Check(syscall.Lstat(ts.MkAbs(args[0]), &st))
	if got := strconv.FormatUint(uint64(st.Mode&0o7777), 8); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

// mtime sets a time of change, or compares one: "mtime FILE TIME", "! mtime FILE TIME" (RFC 3339).
func mtime(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: mtime set FILE TIME, or [!] mtime FILE TIME")
	}
	set := args[0] == "set"
	if set {
		args = args[1:]
	}
	at, err := time.Parse(time.RFC3339, args[1])
	ts.Check(err)
	if set {
		ts.Check(os.Chtimes(ts.MkAbs(args[0]), at, at))
		return
	}
	fi, err := os.Lstat(ts.MkAbs(args[0]))
	ts.Check(err)
	if fi.ModTime().Equal(at) == neg {
		ts.Fatalf("%s was changed at %s", args[0], fi.ModTime().UTC().Format(time.RFC3339Nano))
	}
}

// hardLink gives a file another name: "hardlink FILE NAME"; with one that exists it tells whether both are one file.
func hardLink(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] hardlink FILE NAME")
	}
	a, err := os.Lstat(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.Lstat(ts.MkAbs(args[1]))
	if err != nil && !neg {
		ts.Check(os.Link(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
		return
	}
	ts.Check(err)
	if os.SameFile(a, b) == neg {
		ts.Fatalf("%s and %s: same file is %v", args[0], args[1], !neg)
	}
}

func fifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo NAME")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o644))
}

// listing prints every name below a folder with its kind and mode, hidden ones included, and links with where they lead.
func listing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listing DIR")
	}
	root := ts.MkAbs(args[0])
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to, _ := os.Readlink(path)
		if to != "" {
			to = " -> " + to
		}
		fmt.Fprintf(ts.Stdout(), "%s %s%s\n", d.Type(), filepath.ToSlash(rel), to)
		return nil
	})
	ts.Check(err)
}

// compareTexts compares two values: "same $BEFORE $AFTER".
func compareTexts(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || (args[0] == args[1]) == neg {
		ts.Fatalf("%q", args)
	}
}

// merged is the union of sets of script commands.
func merged[T any](sets ...map[string]T) map[string]T {
	all := map[string]T{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}
