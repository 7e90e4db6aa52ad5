package initcopy

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// report is what --report json prints: one object.
type report struct {
	Result    string         `json:"result"` // published, unchanged, planned or failed
	Target    string         `json:"target"`
	Copied    int            `json:"copied"`    // entries that are new or changed
	Unchanged int            `json:"unchanged"` // entries that were left, or linked
	Removed   int            `json:"removed"`
	Skipped   int            `json:"skipped,omitempty"`
	Linked    int            `json:"linked,omitempty"`
	Unowned   int            `json:"owner_not_kept,omitempty"`
	Bytes     int64          `json:"bytes"` // of content that was copied
	Seconds   float64        `json:"seconds"`
	Digest    string         `json:"digest,omitempty"` // stands for all names and contents
	Sources   []sourceReport `json:"sources"`
	Error     string         `json:"error,omitempty"`

	dry     bool
	pending bool
}

// sourceReport tells of one source.
type sourceReport struct {
	Source  string `json:"source"`
	At      string `json:"at"` // where it is, below the target
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes"`
	Digest  string `json:"digest,omitempty"` // of a file, an archive or a download
}

// plan notes what is to be done.
func (r *report) plan(p *plan, units map[string]*unit, j *job) {
	r.dry = j.cfg.DryRun
	r.Copied, r.Unchanged, r.Bytes = p.changed, p.count-p.changed, p.copied
	r.pending = p.changed > 0 || len(p.gone) > 0
	for _, u := range units {
		r.pending = r.pending || u.changed
	}
	for i := range j.pieces {
		r.pending = r.pending || j.pieces[i].unknown
	}
	if j.cfg.Delete && j.target.tree && len(p.foreign) > 0 {
		r.pending = true
	}
	if r.dry {
		r.Removed = len(p.gone)
		for i := range p.wants {
			if w := &p.wants[i]; !w.same {
				j.log.Info().Str("path", w.path).Int64("bytes", w.item.Size).Msg("would be copied")
			}
		}
		for i := range j.pieces {
			if pc := &j.pieces[i]; pc.unknown {
				j.log.Info().Str("source", pc.shown).Msg("would be read, what it holds is not known before")
			}
		}
		for _, name := range p.gone {
			j.log.Info().Str("path", name).Msg("would be removed")
		}
	}
}

func (r *report) changes() bool { return r.pending }

// sources notes what became of each source.
func (r *report) sources(j *job, p *plan) {
	r.Sources = nil
	for i := range j.pieces {
		pc := &j.pieces[i]
		s := sourceReport{Source: pc.shown, At: pc.at, Entries: len(pc.items)}
		for n := range pc.items {
			s.Bytes += pc.items[n].Size
		}
		sum := pc.sum
		if pc.file && len(pc.items) == 1 && sum.IsZero() {
			sum = pc.items[0].Sum
		}
		if !sum.IsZero() {
			s.Digest = sum.String()
		}
		r.Sources = append(r.Sources, s)
	}
	if j.cfg.Digest != "none" && j.cfg.Report == "json" && !r.dry {
		r.Digest = "sha256:" + j.digest()
	}
}

func (r *report) finish(took time.Duration, err error) {
	r.Seconds = took.Seconds()
	switch {
	case err != nil:
		r.Result, r.Error = "failed", err.Error()
		r.Copied, r.Bytes, r.Removed, r.Digest = 0, 0, 0, ""
	case r.dry:
		r.Result = "planned"
	case r.pending:
		r.Result = "published"
	default:
		r.Result = "unchanged"
	}
	if r.Sources == nil {
		r.Sources = []sourceReport{}
	}
}

func (r *report) write(w io.Writer) error {
	data, err := json.Marshal(r)
	if err == nil {
		_, err = w.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

func (r *report) log(log zerolog.Logger) {
	log.Info().Str("target", r.Target).Int("copied", r.Copied).Int("unchanged", r.Unchanged).Int("removed", r.Removed).
		Int64("bytes", r.Bytes).Stringer("took", time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond)).Msg(r.Result)
}
