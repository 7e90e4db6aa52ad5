package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
)

// pieceSize is how much is handed on at once.
const pieceSize = 256 << 10

// Sink takes content in.
type Sink interface {
	// Begin comes before the first byte, and once more whenever everything begins anew. size is -1 when it is not known.
	Begin(size int64) error
	io.Writer
}

// transfer is one resource on its way, over as many connections as it takes.
type transfer struct {
	c   *Client
	res *resource
	to  Sink
	// pinned says that the digest is known: then a part of anything else is found out in the end, and ranges are asked
	// for without a mark that says what they belong to.
	pinned bool
	limit  int64  // bytes that there may be, 0 for any number
	over   string // which limit that is

	off, size int64
	best      int64     // the furthest that any attempt came
	last      time.Time // when that was
	mark      string    // for If-Range
	modified  time.Time
	kind      string // the media type that the server tells
	whole     bool   // parts of it cannot be had
	resumed   bool
}

// run tries until everything has come, an error is there for good, or nothing came for too long.
func (t *transfer) run(ctx context.Context) error {
	policy := backoff.Policy{Min: t.c.pause, Max: 30 * time.Second, Jitter: 0.2}
	t.last = time.Now()
	for attempt, failures := 1, 0; ; attempt++ {
		best := t.best
		err := t.attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		may, ok := errors.AsType[temporary](err)
		if !ok {
			return err
		}
		if t.best > best {
			failures = 0
		}
		failures++
		wait := max(policy.Delay(failures), may.after)
		if idle := time.Since(t.last); idle+wait > t.c.o.Retry {
			return t.gaveUp(err, idle, may.after, attempt)
		}
		t.c.o.Log.Warn().Str("source", t.res.shown).Int("attempt", attempt).Int64("bytes", t.off).Stringer("wait", wait.Round(time.Millisecond)).
			AnErr("err", err).Msg("transfer broke, trying again")
		if !backoff.Sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

func (t *transfer) gaveUp(err error, idle, after time.Duration, attempt int) error {
	if t.c.o.Retry == 0 {
		return err
	}
	wish := ""
	if after > 0 {
		wish = fmt.Sprintf(", and wants %s of patience now", after)
	}
	return fmt.Errorf("%w (attempt %d; nothing new came for %s%s)\nhint: --retry-timeout %s is how long to go on", err, attempt,
		idle.Round(time.Second), wish, t.c.o.Retry)
}

// attempt asks for what is missing and takes in what comes.
func (t *transfer) attempt(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watch := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	defer watch.Stop()
	resp, err := t.c.get(ctx, t.res, t.ask())
	if err != nil {
		return stalled(ctx, err)
	}
	defer resp.Body.Close()
	if err := t.accept(resp); err != nil {
		return err
	}
	return t.take(ctx, resp.Body, watch)
}

// stalled puts the right word to an error that the watch caused.
func stalled(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return temporary{error: errStalled}
	}
	return err
}

// ask is the header that wants the rest.
func (t *transfer) ask() http.Header {
	if t.off == 0 || t.whole {
		return nil
	}
	if t.mark == "" && !t.pinned {
		t.whole = true // nothing would tell whether the rest belongs to what is here
		return nil
	}
	h := http.Header{"Range": {"bytes=" + strconv.FormatInt(t.off, 10) + "-"}}
	if t.mark != "" {
		h.Set("If-Range", t.mark)
	}
	return h
}

// accept looks at an answer before its content.
func (t *transfer) accept(resp *http.Response) error {
	asked := t.off > 0 && !t.whole
	switch {
	case resp.StatusCode == http.StatusOK:
		return t.begin(resp)
	case resp.StatusCode == http.StatusPartialContent && asked:
		return t.resume(resp)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && asked:
		return t.anew("the server has no rest of it")
	}
	return refused(t.res, resp)
}

// begin is for an answer that has everything, from the start.
func (t *transfer) begin(resp *http.Response) error {
	if err := encoded(resp); err != nil {
		return err
	}
	t.off, t.size = 0, resp.ContentLength
	t.mark = mark(resp.Header, t.pinned)
	t.kind = resp.Header.Get("Content-Type")
	t.modified, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
	if err := t.within(t.size); err != nil {
		return err
	}
	return t.to.Begin(t.size)
}

// resume is for an answer that has the rest, if that is what it is.
func (t *transfer) resume(resp *http.Response) error {
	if err := encoded(resp); err != nil {
		return err
	}
	first, total, ok := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case !ok, first != t.off:
		return t.anew("the server sends another part than was asked for")
	case total >= 0 && t.size >= 0 && total != t.size, !t.sameAs(resp.Header):
		return t.anew("the content changed meanwhile")
	}
	if t.size < 0 {
		t.size = total
	}
	t.resumed = true
	return nil
}

// anew gives up what came so far, and asks for no parts any more.
func (t *transfer) anew(why string) error {
	t.off, t.whole = 0, true
	return temporary{error: errors.New(why)}
}

// sameAs tells whether an answer names the version that we have the start of.
func (t *transfer) sameAs(h http.Header) bool {
	now := h.Get("ETag")
	return now == "" || !strings.HasPrefix(t.mark, `"`) || now == t.mark
}

// mark is what names this version of the content for If-Range: an ETag that is not weak, or else the time of change,
// which tells versions apart only when it is old enough by the server's own clock.
func mark(h http.Header, pinned bool) string {
	if tag := h.Get("ETag"); len(tag) >= 2 && tag[0] == '"' {
		return tag
	}
	changed, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	if now, err := http.ParseTime(h.Get("Date")); pinned || err == nil && now.Sub(changed) >= time.Minute {
		return h.Get("Last-Modified")
	}
	return ""
}

func encoded(resp *http.Response) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return fmt.Errorf("the server sends the content as %.20q, which was not asked for\nhint: let the server send the file as it is", e)
	}
	return nil
}

// within holds a length to the limit.
func (t *transfer) within(n int64) error {
	if t.limit > 0 && n > t.limit {
		return fmt.Errorf("there are %d bytes or more; the limit is %s %d", n, t.over, t.limit)
	}
	return nil
}

// take hands the content on. The watch runs while the server is waited for.
func (t *transfer) take(ctx context.Context, body io.Reader, watch *time.Timer) error {
	buf := make([]byte, pieceSize)
	for {
		watch.Reset(stallTime)
		n, err := body.Read(buf)
		watch.Stop()
		if n > 0 {
			if lerr := t.within(t.off + int64(n)); lerr != nil {
				return lerr
			}
			if t.size >= 0 && t.off+int64(n) > t.size {
				return fmt.Errorf("the server sends more than the %d bytes that it promised", t.size)
			}
			if _, werr := t.to.Write(buf[:n]); werr != nil {
				return werr
			}
			if t.off += int64(n); t.off > t.best {
				t.best, t.last = t.off, time.Now()
			}
		}
		switch {
		case errors.Is(err, io.EOF) && (t.size < 0 || t.off == t.size):
			return nil
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
			fallthrough
		case err != nil:
			return stalled(ctx, temporary{error: fmt.Errorf("the connection broke after %d bytes: %w", t.off, err)})
		}
	}
}

// contentRange reads "bytes 5-9/10"; total is -1 for "*".
func contentRange(text string) (first, total int64, ok bool) {
	text, isBytes := strings.CutPrefix(text, "bytes ")
	span, all, cut := strings.Cut(text, "/")
	from, to, dash := strings.Cut(strings.TrimSpace(span), "-")
	first, err := number(from)
	last, lerr := number(to)
	if !isBytes || !cut || !dash || err != nil || lerr != nil || last < first {
		return 0, 0, false
	}
	if all = strings.TrimSpace(all); all == "*" {
		return first, -1, true
	}
	total, err = number(all)
	return first, total, err == nil && last < total
}

func number(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err
}
