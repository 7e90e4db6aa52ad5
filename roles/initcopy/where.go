package initcopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
)

// manifestEnding ends the names of manifests, which begin with a dot.
const manifestEnding = ".initcopy"

// looseFiles is how many files are kept open without a name; more of them are staged in a folder.
const looseFiles = 64

// staleAge is how old a stage must be to be removed where the file system has no locks: nobody copies that long.
const staleAge = 24 * time.Hour

// choosePlace decides what is replaced as a whole, and where things lie until they are published.
func (j *job) choosePlace() error {
	t := &j.target
	j.published = t.base
	above := filepath.Dir(t.base)
	mode := j.cfg.Publish
	switch {
	case mode == "symlink" || mode == "auto" && t.link:
		return j.chooseLink()
	case t.link:
		return fmt.Errorf("--publish %s: %s is a link to one of several trees, from an earlier --publish symlink\nhint: remove the link once, or leave --publish out", mode, t.base)
	}
	switch {
	case !t.exists:
		anchor, err := place.Anchor(above)
		if err != nil {
			return fmt.Errorf("target %s: %w", t.dst, err)
		}
		j.parent, j.swapsBase = anchor, true
	case !t.whole:
		j.parent = t.base
	case mode == "exchange" && t.mount:
		return fmt.Errorf("--publish exchange: %s is a mount point, which cannot be exchanged\nhint: copy into a folder below it, or leave --publish out", t.base)
	case t.mount || mode == "entries" || unix.Access(above, unix.W_OK) != nil:
		j.parent = t.base
	default:
		j.parent, j.swapsBase = above, true
	}
	if err := j.stageElsewhere(); err != nil {
		return err
	}
	return j.writable()
}

// stageElsewhere is --stage-dir.
func (j *job) stageElsewhere() error {
	if j.cfg.StageDir == "" {
		return nil
	}
	anchor, err := place.Anchor(j.target.base)
	if err != nil {
		return fmt.Errorf("target %s: %w", j.target.dst, err)
	}
	same, err := place.SameMount(anchor, j.cfg.StageDir)
	if err != nil {
		return fmt.Errorf("--stage-dir: %w", err)
	}
	if !same {
		return fmt.Errorf("--stage-dir %s is on another mount than %s, and nothing can be renamed from one to the other\nhint: choose a folder of the same volume, or leave --stage-dir out", j.cfg.StageDir, anchor)
	}
	j.parent = j.cfg.StageDir
	return nil
}

// chooseLink is for --publish symlink: base is a link to one of several trees beside it.
func (j *job) chooseLink() error {
	t := &j.target
	if !t.whole || t.mount {
		return fmt.Errorf("--publish symlink: %s must be a name of its own, not a folder that holds other things\nhint: copy to a name below it that does not exist yet", t.base)
	}
	anchor, err := place.Anchor(filepath.Dir(t.base))
	if err != nil {
		return fmt.Errorf("target %s: %w", t.dst, err)
	}
	j.parent, j.swapsBase, j.linked = anchor, true, true
	return j.writable()
}

// chooseSwap makes the stage and finds out what the file system can do. One that cannot exchange two names gets a link that
// can be swapped, where there is nothing yet; elsewhere the entries of a tree are renamed one by one.
func (j *job) chooseSwap(p *plan) error {
	if j.allLoose(p) || j.linked && j.swapsBase {
		return nil
	}
	if err := j.openStage(p); err != nil {
		return err
	}
	if j.noExchange = !j.stage.CanExchange(); !j.noExchange {
		return nil
	}
	t := &j.target
	switch {
	case j.cfg.Publish == "exchange":
		return fmt.Errorf("--publish exchange: the file system of %s cannot exchange two names\nhint: leave --publish out, or choose symlink", t.base)
	case j.cfg.Publish == "auto" && t.tree && j.swapsBase && !t.exists:
		j.linked = true
		j.log.Info().Str("path", t.base).Msg("the file system cannot exchange two names, the target becomes a symbolic link that can be swapped")
		return j.openLinks()
	case j.linked:
	case t.exists:
		j.swapsBase = false
		j.log.Warn().Str("path", t.base).Msg("the file system cannot exchange two names, trees that exist are replaced entry by entry; --publish symlink avoids that")
	}
	return nil
}

// openLinks finds the tree that readers see through the link. It removes what an earlier run left unfinished.
func (j *job) openLinks() (err error) {
	if !j.linked {
		return nil
	}
	above := filepath.Dir(j.target.base)
	if j.cfg.DryRun {
		if real, err := filepath.EvalSymlinks(j.target.base); err == nil {
			j.published = real
		}
		return nil
	}
	j.links, err = publish.Open(filepath.Join(above, versionsOf(j.target.base)), j.target.base)
	if errors.Is(err, publish.ErrOccupied) {
		return fmt.Errorf("--publish symlink: %w\nhint: a folder cannot become a link in one step; remove it once, or publish by exchange", err)
	}
	if err != nil {
		return fmt.Errorf("target %s: %w", j.target.dst, err)
	}
	current, _ := j.links.Current()
	j.target.exists = current != ""
	if current != "" {
		j.published = current
	}
	return nil
}

// writable says early what would fail late.
func (j *job) writable() error {
	if j.cfg.DryRun {
		return nil
	}
	err := unix.Access(j.parent, unix.W_OK|unix.X_OK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("target %s: %s is on a read-only file system\nhint: mount a volume there, without readOnly: true", j.target.dst, j.parent)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("target %s: user %d may not write to %s\nhint: set fsGroup (or runAsUser) in the pod's securityContext", j.target.dst, unix.Geteuid(), j.parent)
	}
	return fmt.Errorf("target %s: %w", j.target.dst, &fs.PathError{Op: "write to", Path: j.parent, Err: err})
}

// lock waits for other runs at the same place.
func (j *job) lock(ctx context.Context) error {
	release, held, err := place.Lock(ctx, j.parent, func() {
		j.log.Info().Str("path", j.parent).Msg("waiting for another initcopy that works here")
	})
	if err != nil {
		return fmt.Errorf("lock %s: %w", j.parent, err)
	}
	j.release, j.alone = release, held
	return nil
}

// sweep removes what runs left here when they were killed.
func (j *job) sweep() error {
	age := time.Duration(0)
	if !j.alone {
		age = staleAge
	}
	removed, err := place.Sweep(j.parent, age)
	removed += place.SweepAround(j.target.base, j.parent)
	if name := j.manifestPath(); name != "" {
		place.SweepFile(name)
	}
	if removed > 0 {
		j.log.Info().Str("path", j.parent).Int("stages", removed).Msg("removed what a run that was killed left behind")
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("remove what a run that was killed left behind: %w", err)
	}
	return j.openLinks()
}

// manifestPath is where the manifest lies: beside what is published as a whole, inside a folder that others share; there
// under a name of its own for every pair of sources and target.
func (j *job) manifestPath() string {
	t := &j.target
	switch {
	case j.cfg.Manifest == "off":
		return ""
	case j.cfg.Manifest != "":
		return j.cfg.Manifest
	case t.single:
		return filepath.Join(t.base, "."+short(j.pieces[0].at)+manifestEnding)
	case j.linked, t.tree && !t.mount && j.cfg.Publish != "entries" && (!t.exists || j.parent != t.base):
		return filepath.Join(filepath.Dir(t.base), "."+short(filepath.Base(t.base))+manifestEnding)
	}
	var key strings.Builder
	last := ""
	for i, p := range j.pieces {
		if i == 0 || p.pattern != last { // a pattern is one source, however many things match it
			fmt.Fprintf(&key, "%s\x00", p.pattern)
		}
		last = p.pattern
	}
	sum := sha256.Sum256([]byte(key.String()))
	return filepath.Join(t.base, "."+hex.EncodeToString(sum[:4])+manifestEnding)
}

// short is a name that leaves room for what a manifest's name has besides, of the 255 bytes that file systems allow.
func short(name string) string {
	if len(name) <= 220 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// remember reads the manifest of the last run. One that cannot be used is only worth a line in the log: the content is
// compared instead.
func (j *job) remember() {
	name := j.manifestPath()
	if name == "" {
		return
	}
	m, err := manifest.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		j.log.Warn().AnErr("err", err).Msg("the manifest of the last run cannot be used, contents are compared instead")
	default:
		j.before, j.alike = m, m.Rules == j.cfg.fingerprint()
	}
}

// sheltered tells whether a stage beside the target might be taken for a web application by Tomcat, which deploys every
// folder but META-INF.
func (j *job) sheltered(p *plan) bool {
	for i := range j.pieces {
		if j.pieces[i].opaque() && !j.pieces[i].file {
			return true
		}
	}
	if p == nil {
		return false
	}
	for i := range p.wants {
		base := path.Base(p.wants[i].path)
		if base == "WEB-INF" || strings.EqualFold(path.Ext(base), ".war") {
			return true
		}
	}
	return false
}
