// Package site makes seeded git repositories that look like web sites, and moves their
// branch. The same seed gives the same bytes on every machine. Its users are the
// benchmarks, killtest and torn.
package site

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Branch is the branch of every repository made here.
const Branch = "main"

// Repo is a bare repository on disk.
type Repo struct{ Dir string }

// Create makes an empty bare repository that any client may fetch anything from.
func Create(dir string) (Repo, error) {
	r := Repo{Dir: dir}
	if _, err := r.Git(nil, "init", "-q", "--bare", "--initial-branch="+Branch, "."); err != nil {
		return r, err
	}
	for _, kv := range []string{
		"uploadpack.allowAnySHA1InWant=true", "uploadpack.allowFilter=true",
		"core.logAllRefUpdates=false", "gc.auto=0", "fastimport.unpackLimit=0",
	} {
		k, v, _ := strings.Cut(kv, "=")
		if _, err := r.Git(nil, "config", k, v); err != nil {
			return r, err
		}
	}
	return r, nil
}

// Git runs git in the repository and returns its standard output.
func (r Repo) Git(stdin io.Reader, args ...string) (string, error) {
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	cmd.Stdin = stdin
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Head returns the hash of the branch.
func (r Repo) Head() (string, error) { return r.Git(nil, "rev-parse", "refs/heads/"+Branch) }

// Fill commits files that add up to about total bytes and packs the repository the way
// a server would have it.
func (r Repo) Fill(files int, total int64, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	sizes := spread(rng, files, total)
	words := newText(rng)
	stream, w := io.Pipe()
	defer stream.Close()
	go func() {
		fmt.Fprintf(w, "commit refs/heads/%s\ncommitter bench <bench@example.com> 1700000000 +0000\ndata 5\nfill\n", Branch)
		for i, size := range sizes {
			content := words.body(i, size)
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n", Path(i), len(content))
			w.Write(content)
			io.WriteString(w, "\n")
		}
		w.Close()
	}()
	if _, err := r.Git(stream, "fast-import", "--quiet", "--force"); err != nil {
		return err
	}
	_, err := r.Git(nil, "repack", "-adq", "--window=5", "--depth=10")
	return err
}

// Path is where the i-th file lives: folders of a hundred, four kinds of file.
func Path(i int) string {
	kind := []string{"html", "html", "html", "md", "css", "js", "json", "png"}[i%8]
	return fmt.Sprintf("s%02d/d%02d/page-%05d.%s", i/1000, i/100%10, i, kind)
}

// AddRefs packs n extra branches, all at the newest commit.
func (r Repo) AddRefs(n int) error {
	head, err := r.Head()
	if err != nil {
		return err
	}
	var refs strings.Builder
	for i := range n {
		fmt.Fprintf(&refs, "create refs/heads/feature/%05d %s\n", i, head)
	}
	if _, err := r.Git(strings.NewReader(refs.String()), "update-ref", "--stdin"); err != nil {
		return err
	}
	_, err = r.Git(nil, "pack-refs", "--all")
	return err
}

// Commit stores a commit on top of parent ("" for none) under a staging reference, so
// that the branch itself can be moved later, at a known instant, by Move.
func (r Repo) Commit(parent string, files map[string][]byte) (string, error) {
	var s bytes.Buffer
	fmt.Fprintf(&s, "commit refs/stage/next\nmark :1\ncommitter bench <bench@example.com> 1700000001 +0000\ndata 6\nchange\n")
	if parent != "" {
		fmt.Fprintf(&s, "from %s\n", parent)
	}
	for path, content := range files {
		fmt.Fprintf(&s, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
	}
	s.WriteString("get-mark :1\n")
	return r.Git(&s, "fast-import", "--quiet", "--force")
}

// Move points the branch at hash with one rename: the instant of a push as the server sees it.
func (r Repo) Move(hash string) error {
	ref := filepath.Join(r.Dir, "refs", "heads", Branch)
	if err := os.MkdirAll(filepath.Dir(ref), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(ref+".lock", []byte(hash+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(ref+".lock", ref)
}

// spread gives file sizes with the long tail that sites have, adding up to total.
func spread(rng *rand.Rand, files int, total int64) []int {
	weights := make([]float64, files)
	sum := 0.0
	for i := range weights {
		weights[i] = 0.05 + rng.ExpFloat64()*rng.ExpFloat64()
		sum += weights[i]
	}
	sizes := make([]int, files)
	for i, w := range weights {
		sizes[i] = max(64, int(w/sum*float64(total)))
	}
	return sizes
}

// text makes page bodies: words of a small language, the common ones common, between
// tags. It compresses to about a third, as markup does.
type text struct {
	rng   *rand.Rand
	words []string
	pick  *rand.Zipf
}

func newText(rng *rand.Rand) *text {
	t := &text{rng: rng, pick: rand.NewZipf(rng, 1.2, 8, vocabulary-1)}
	for range vocabulary {
		var w []byte
		for range 1 + rng.IntN(4) {
			w = append(w, "etaoinshrdlucmfw"[rng.IntN(16)], "aeiounrt"[rng.IntN(8)])
		}
		t.words = append(t.words, string(w))
	}
	return t
}

const vocabulary = 6000

// body is the content of the i-th file; every eighth is a picture, which does not compress.
func (t *text) body(i, size int) []byte {
	b := make([]byte, 0, size+64)
	if strings.HasSuffix(Path(i), ".png") {
		for len(b) < size {
			b = append(b, byte(t.rng.Uint32()))
		}
		return b
	}
	b = fmt.Appendf(b, "<!-- page %d -->\n", i)
	for len(b) < size {
		switch t.rng.IntN(40) {
		case 0:
			b = append(b, "</p>\n<p class=\"text\">"...)
		case 1:
			b = fmt.Appendf(b, "<a href=\"/%x\">", t.rng.Uint32())
		default:
			b = append(b, t.words[t.pick.Uint64()]...)
			b = append(b, ' ')
		}
	}
	return b[:size]
}
