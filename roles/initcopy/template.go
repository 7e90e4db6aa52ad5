package initcopy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/render"
)

// templateLimit is far above any file that somebody writes by hand.
const templateLimit = 8 << 20

// variables reads --var and --var-file.
func (c *Config) variables() (*render.Set, error) {
	s := &render.Set{}
	var err error
	if s.Left, s.Right, err = c.delims(); err != nil {
		return nil, err
	}
	var errs []error
	for _, v := range c.Vars {
		name, value, given := strings.Cut(v, "=")
		if !given {
			if value, given = os.LookupEnv(name); !given {
				errs = append(errs, fmt.Errorf("--var %s: no such variable in the environment\nhint: set it in the pod, or write --var %s=VALUE", name, name))
				continue
			}
		}
		if err := s.Define(name, value); err != nil {
			errs = append(errs, fmt.Errorf("--var: %w", err))
		}
	}
	for _, v := range c.VarFiles {
		name, file, given := strings.Cut(v, "=")
		if !given {
			errs = append(errs, fmt.Errorf("--var-file %q: want NAME=FILE", v))
			continue
		}
		data, err := readBounded(file)
		if err == nil {
			err = s.Define(name, strings.TrimRight(string(data), "\r\n"))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--var-file %s: %w", name, err))
		}
	}
	return s, errors.Join(errs...)
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, templateLimit+1))
	if err == nil && len(data) > templateLimit {
		err = fmt.Errorf("%s is larger than %d MiB", name, templateLimit>>20)
	}
	return data, err
}

// render makes files of the templates of a piece: their content is in memory, and their items say what they become. An
// ending .tmpl goes.
func (j *job) render(pc *piece) error {
	vars, err := j.cfg.variables()
	if err != nil {
		return err
	}
	pc.rendered = map[string][]byte{}
	var errs []error
	names := map[string]bool{}
	for i := range pc.items {
		it := &pc.items[i]
		if it.Kind != item.File || !pc.file && !strings.HasSuffix(it.Path, render.Ending) {
			names[it.Path] = true
			continue
		}
		shown := filepath.Join(pc.dir, it.Path)
		data, err := readBounded(shown)
		if err == nil {
			err = pc.checkSum(sha256.Sum256(data))
		}
		if err == nil {
			data, err = vars.Render(shown, string(data))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !pc.file {
			it.Path = strings.TrimSuffix(it.Path, render.Ending)
		} else if pc.at == it.Path {
			pc.at = strings.TrimSuffix(pc.at, render.Ending)
		}
		if names[it.Path] || path.Base(it.Path) == "." {
			errs = append(errs, fmt.Errorf("template %s: %s is there, too", shown, it.Path))
		}
		names[it.Path] = true
		it.Hard, it.Size, it.Disk, it.Sum = "", int64(len(data)), 0, sha256.Sum256(data)
		pc.rendered[it.Path] = data
	}
	slices.SortFunc(pc.items, func(a, b item.Item) int { return item.Compare(a.Path, b.Path) })
	return errors.Join(errs...)
}

// fillRendered writes a filled-in template, with the attributes of the template.
func (j *job) fillRendered(w *want, f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	if uid, gid := j.rules.OwnerOf(w.item); uid != item.Keep || gid != item.Keep {
		if err := f.Chown(uid, gid); err != nil {
			j.warnOwner(1, w.path)
		}
	}
	mode := j.rules.ModeOf(w.item)
	if err := f.Chmod(os.FileMode(mode & item.Perm)); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	j.progress.add(1, int64(len(data)))
	return nil
}

// writeRendered stages the filled-in templates of a tree whose folders are there already.
func (j *job) writeRendered(to string, wants []*want) error {
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, w := range wants {
		f, err := root.OpenFile(w.item.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(j.fillRendered(w, f, w.piece.rendered[w.item.Path]), f.Close()); err != nil {
			return err
		}
		// The folder has its time already.
		dir := path.Dir(w.item.Path)
		for i := range w.piece.items {
			if it := &w.piece.items[i]; it.Path == dir {
				t := time.Unix(0, it.Mtime)
				_ = root.Chtimes(dir, t, t)
				break
			}
		}
	}
	return nil
}

// stateOf is what the manifest remembers of the source of an entry: nothing for what was rendered.
func (w *want) stateOf() manifest.State {
	if w.piece.input != 0 || w.item.Kind != item.File {
		return manifest.State{}
	}
	if _, rendered := w.piece.rendered[w.item.Path]; rendered {
		return manifest.State{}
	}
	return manifest.Of(w.item)
}
