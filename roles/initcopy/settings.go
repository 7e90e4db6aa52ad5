package initcopy

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// Config is what the user can choose.
type Config struct {
	Src    []string // files, folders, globs, "-", https or oci addresses
	Dst    string
	Self   string // where the running program goes
	Expect []string

	Verify         bool
	Digest         string // sha256 or none
	Manifest       string // path; "" is beside the target, "off" is none
	Delete         bool
	RemoveExploded bool
	Publish        string // auto, exchange, symlink or entries
	StageDir       string

	Owner   bool
	Xattrs  bool
	Chown   string
	Chmod   string
	Umask   string
	Include []string
	Exclude []string

	Unpack    bool
	Strip     int
	MaxBytes  int64
	MaxFiles  int64
	MaxRatio  int64
	MaxName   int
	MaxDepth  int
	Specials  string // refuse or skip
	Links     string // refuse, skip or keep
	Template  bool
	Vars      []string
	VarFiles  []string
	Delims    string
	DryRun    bool
	Report    string // none or json
	Progress  time.Duration
	Workers   int
	Unpinned  bool
	Retry     time.Duration
	TokenFile string
	BasicFile string
	AuthFile  string // docker's config.json
	CAFile    string
	Platform  string
}

// Default is what holds where the user says nothing.
func Default() Config {
	return Config{
		Digest: "sha256", Publish: "auto", Owner: true, Xattrs: true, Specials: "refuse", Links: "refuse",
		MaxBytes: 32 << 30, MaxFiles: 1_000_000, MaxRatio: 200, MaxName: 1024, MaxDepth: 64,
		Delims: "{{ }}", Report: "none", Progress: 2 * time.Second, Retry: 5 * time.Minute,
	}
}

// Validate returns every complaint at once.
func (c *Config) Validate() error {
	return errors.Join(c.checkPaths(), c.checkAttributes(), c.checkSources(), c.checkNumbers(), c.checkTemplate())
}

func (c *Config) checkPaths() error {
	var errs []error
	switch {
	case c.Self != "" && (len(c.Src) > 0 || c.Dst != ""):
		errs = append(errs, errors.New("--self copies this program and nothing else: leave SRC and DST out"))
	case c.Self != "":
	case len(c.Src) == 0 && c.Dst == "":
		errs = append(errs, errors.New("nothing to copy: want initcopy [flags] SRC... DST, or --src and --dst"))
	case len(c.Src) == 0:
		errs = append(errs, fmt.Errorf("no source for %s: want initcopy [flags] SRC... DST", c.Dst))
	case c.Dst == "":
		errs = append(errs, errors.New("no target: want initcopy [flags] SRC... DST, or --dst"))
	}
	for _, s := range c.Src {
		if s == "" {
			errs = append(errs, errors.New("--src is empty; want a file, a folder, a pattern, - or an address"))
		}
	}
	if strings.ContainsRune(c.Dst, 0) || strings.Contains(c.Dst, "://") {
		errs = append(errs, fmt.Errorf("--dst %q: want a path", c.Dst))
	}
	if c.StageDir != "" && !filepath.IsAbs(c.StageDir) {
		errs = append(errs, fmt.Errorf("--stage-dir %q: want an absolute path", c.StageDir))
	}
	return errors.Join(errs...)
}

func (c *Config) checkAttributes() error {
	_, err := c.rules()
	_, ferr := tree.NewFilter(c.Include, c.Exclude)
	return errors.Join(err, ferr)
}

func (c *Config) checkSources() error {
	var errs []error
	var remotes []source
	stdin := 0
	for _, spec := range c.Src {
		s, err := parseSource(spec)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.kind == fromStdin {
			stdin++
		}
		remotes = append(remotes, s)
	}
	if stdin > 1 {
		errs = append(errs, errors.New("--src -: standard input can be read once"))
	}
	expect, err := c.expectations()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, c.checkRemote(remotes, expect))...)
}

func (c *Config) checkNumbers() error {
	var errs []error
	for _, n := range []struct {
		flag  string
		value int64
	}{
		{"max-bytes", c.MaxBytes}, {"max-entries", c.MaxFiles}, {"max-ratio", c.MaxRatio}, {"max-name", int64(c.MaxName)},
		{"max-depth", int64(c.MaxDepth)}, {"strip-components", int64(c.Strip)}, {"workers", int64(c.Workers)},
		{"progress", int64(c.Progress)}, {"retry-timeout", int64(c.Retry)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("--%s %d: want 0 or more", n.flag, n.value))
		}
	}
	if c.Strip > 0 && !c.Unpack {
		errs = append(errs, errors.New("--strip-components is for --unpack"))
	}
	if c.Digest == "none" && c.Verify {
		errs = append(errs, errors.New("--verify compares digests: leave --digest none out"))
	}
	return errors.Join(errs...)
}

func (c *Config) checkTemplate() error {
	if c.Template {
		_, _, err := c.delims()
		return err
	}
	if len(c.Vars)+len(c.VarFiles) > 0 {
		return errors.New("--var and --var-file are for --template")
	}
	return nil
}

// delims are the marks around an action in a template.
func (c *Config) delims() (left, right string, err error) {
	f := strings.Fields(c.Delims)
	if len(f) != 2 {
		return "", "", fmt.Errorf("--template-delims %q: want two marks separated by a space, such as \"<< >>\"", c.Delims)
	}
	return f[0], f[1], nil
}

// rules are the attributes that copies get.
func (c *Config) rules() (item.Rules, error) {
	r := item.Default()
	r.Owner, r.Special = c.Owner && !c.Unpack, !c.Unpack
	var errs []error
	if c.Chown != "" {
		user, group, _ := strings.Cut(c.Chown, ":")
		for _, part := range []struct {
			text string
			id   *int
		}{{user, &r.UID}, {group, &r.GID}} {
			if part.text == "" {
				continue
			}
			n, err := strconv.ParseUint(part.text, 10, 31)
			if err != nil {
				errs = append(errs, fmt.Errorf("--chown %q: want numbers, such as 1000:1000, 1000 or :1000", c.Chown))
				break
			}
			*part.id = int(n)
		}
	}
	var err error
	if r.Chmod, err = item.ParseChanges(c.Chmod); err != nil {
		errs = append(errs, fmt.Errorf("--chmod: %w", err))
	}
	if c.Umask != "" {
		n, err := strconv.ParseUint(c.Umask, 8, 32)
		if err != nil || n > 0o777 {
			errs = append(errs, fmt.Errorf("--umask %q: want an octal number such as 0027", c.Umask))
		}
		r.Umask = uint32(n)
	}
	return r, errors.Join(errs...)
}

// fingerprint stands for the settings that decide what copies look like: with others, nothing counts as unchanged
// before it is compared. Limits and reporting are not part of it.
func (c *Config) fingerprint() string {
	return fmt.Sprintf("%v|%v|%s|%s|%s|%q|%q|%v|%d|%s|%s|%v|%s|%s|%s", c.Owner, c.Xattrs, c.Chown, c.Chmod, c.Umask, c.Include, c.Exclude,
		c.Unpack, c.Strip, c.Specials, c.Links, c.Template, c.Delims, c.Digest, c.Platform)
}

// expectations are the digests that --expect names, by source: in the order of the sources, or as SRC=DIGEST.
func (c *Config) expectations() (map[string]item.Sum, error) {
	out := map[string]item.Sum{}
	next := 0
	for _, e := range c.Expect {
		spec, text := "", e
		if i := strings.LastIndex(e, "="); i >= 0 {
			spec, text = e[:i], e[i+1:]
		}
		sum, ok := item.ParseSum(text)
		if !ok {
			return nil, fmt.Errorf("--expect %q: want sha256: and 64 hexadecimal digits, after SRC= where the order does not tell", showSource(e))
		}
		if spec == "" {
			if next == len(c.Src) {
				return nil, fmt.Errorf("--expect is given %d times for %d sources", len(c.Expect), len(c.Src))
			}
			spec = c.Src[next]
			next++
		}
		out[spec] = sum
	}
	for spec := range out {
		if !slices.Contains(c.Src, spec) {
			return nil, fmt.Errorf("--expect names %s, which is no source", showSource(spec))
		}
	}
	return out, nil
}
