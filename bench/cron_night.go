package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// night is a change of the clock, and what crontabs have to start around it: the expected
// starts are written by hand, in seconds from the change.
type night struct {
	name  string
	civil time.Duration // what the clock would show at the change
	move  time.Duration // by how much it is changed
	lines []nightLine
	west  bool // of Greenwich
}

type nightLine struct {
	schedule string
	starts   []int
	why      string
}

// minutely stands for each minute of the time in which a case looks.
const minutely = -1

// nights are read under the rule of Vixie's cron as ISC's and Debian's have it: what a gap
// skips runs once at its end, what an overlap repeats runs the first time; lines whose
// minute or hour is * go by what the clock shows.
func nights() []night {
	const hour, minute = time.Hour, time.Minute
	return []night{
		{name: "gap of 1 h", civil: 2 * hour, move: hour, lines: []nightLine{
			{"* * * * *", []int{minutely}, "each minute"},
			{"59 1 * * *", []int{-60}, "the minute before"},
			{"30 2 * * *", []int{0}, "in the gap: at its end"},
			{"0 3 * * *", []int{0}, "at its end"},
			{"1 3 * * *", []int{60}, "after it"},
			{"15 * * * *", nil, "the clock shows no quarter past 2"},
			{"* 2 * * *", nil, "the clock shows nothing of this hour"},
			{"0 * * * *", []int{0}, "the clock shows 03:00"},
		}},
		{name: "overlap of 1 h", civil: 3 * hour, move: -hour, lines: []nightLine{
			{"* * * * *", []int{minutely}, "each minute"},
			{"59 2 * * *", []int{-60}, "the first time"},
			{"0 2 * * *", nil, "it was an hour ago"},
			{"1 2 * * *", nil, "it was an hour ago"},
			{"0 3 * * *", nil, "it is an hour ahead"},
			{"1 * * * *", []int{60}, "the clock shows 02:01 again"},
			{"0 * * * *", []int{0}, "the clock shows 02:00 again"},
		}},
		{name: "gap of 30 min", civil: 2 * hour, move: 30 * minute, lines: []nightLine{
			{"* * * * *", []int{minutely}, "each minute"},
			{"59 1 * * *", []int{-60}, "the minute before"},
			{"15 2 * * *", []int{0}, "in the gap: at its end"},
			{"30 2 * * *", []int{0}, "at its end"},
			{"31 2 * * *", []int{60}, "after it"},
			{"15 * * * *", nil, "the clock shows no quarter past 2"},
			{"30 * * * *", []int{0}, "the clock shows 02:30"},
		}},
		{name: "gap at midnight", civil: 24 * hour, move: hour, lines: []nightLine{
			{"* * * * *", []int{minutely}, "each minute"},
			{"59 23 * * *", []int{-60}, "the minute before"},
			{"0 0 * * *", []int{0}, "in the gap: at its end"},
			{"30 0 * * *", []int{0}, "in the gap: at its end"},
			{"0 1 * * *", []int{0}, "at its end"},
			{"1 1 * * *", []int{60}, "after it"},
			{"15 * * * *", nil, "the clock shows no quarter past 0"},
			{"* 0 * * *", nil, "the clock shows nothing of this hour"},
		}},
	}
}

// cronNight lets all programs live through all nights at once.
func (b *bench) cronNight() ([]row, error) {
	peers, missing, err := b.peerCronds()
	if err != nil {
		return nil, err
	}
	if s := time.Now().Second(); s > 45 { // a start next to a minute leaves open whether that minute counts
		time.Sleep(time.Duration(62-s) * time.Second)
	}
	change := time.Now().Add(70 * time.Second).Truncate(time.Minute).Add(time.Minute) // at least 70 s from now
	end := change.Add(90 * time.Second)
	all := append([]crond{b.ourCrond()}, peers...)
	list := append(nights(), nights()...)
	for i := range list[:len(list)/2] {
		list[i].west = true
		list[i].name += ", west"
		list[i+len(list)/2].name += ", east"
	}
	results := make([][]nightResult, len(list))
	var wg sync.WaitGroup
	for i, n := range list {
		results[i] = make([]nightResult, len(all))
		for k, c := range all {
			wg.Go(func() { results[i][k] = b.liveThrough(n, c, change, end) })
		}
	}
	wg.Wait()
	var rows []row
	for i, n := range list {
		ours := results[i][0]
		if ours.err != nil {
			return nil, ours.err
		}
		for k, p := range peers {
			theirs := results[i][k+1]
			if theirs.err != nil {
				return nil, theirs.err
			}
			what := fmt.Sprintf("%s, beside %s: ", n.name, p.name)
			rows = append(rows,
				judged(what+fmt.Sprintf("starts that were lost or too many, of %d", ours.want), ours.wrong(), theirs.wrong(), "-", float64(ours.lost+ours.extra), 0, 0, "0 / 0"),
				judged(what+"log lines a minute beside one for each run, and bytes", fmt.Sprintf("%.1f, %s", ours.lines, count(ours.bytes)), fmt.Sprintf("%.1f, %s", theirs.lines, count(theirs.bytes)),
					ratio(ours.bytes, theirs.bytes), ours.lines, 10, 10, "10"))
		}
	}
	return append(rows, missingRows(missing)...), nil
}

// nightResult is what one program did in one night.
type nightResult struct {
	want, lost, extra int
	notes             []string // the lines that were not right
	lines, bytes      float64  // of log, a minute; lines without one for each run
	cut               time.Duration
	err               error
}

func (r nightResult) wrong() string {
	if r.cut > 0 { // what it did not start after that is our doing
		return fmt.Sprintf("not counted: killed after %s for its log", r.cut.Round(time.Second))
	}
	text := fmt.Sprintf("%d + %d", r.lost, r.extra)
	if len(r.notes) > 0 {
		text += " (" + strings.Join(r.notes, ", ") + ")"
	}
	return text
}

func (b *bench) liveThrough(n night, c crond, change, end time.Time) (r nightResult) {
	before := offsetFor(change, n.civil, n.west)
	name := strings.NewReplacer(" ", "-", ",", "").Replace(n.name + "-" + c.name)
	starts, zone := filepath.Join(b.dir, name+".starts"), filepath.Join(b.dir, name+".zone")
	if r.err = os.WriteFile(zone, zoneFile(change, before, before+n.move), 0o644); r.err != nil {
		return r
	}
	var table strings.Builder
	for i, l := range n.lines { // in UTC: date asks the clock on the wall for the seconds since 1970, too
		fmt.Fprintf(&table, "%s echo %d $(TZ=UTC date +\\%%s) >>%s\n", l.schedule, i, starts)
	}
	text := table.String()
	if c.name != "sidecar" {
		text = strings.ReplaceAll(text, `\%`, "%") // they do not know what % is
	}
	spool, err := b.spool(name, text)
	if err != nil {
		return nightResult{err: err}
	}
	log := &flood{limit: 256 << 20, full: make(chan struct{})}
	begin := time.Now()
	d, err := startCrond(c, spool, log, "TZ=:"+zone)
	if err != nil {
		return nightResult{err: err}
	}
	select {
	case <-time.After(time.Until(end)):
		d.stop(2 * time.Second)
	case <-log.full:
		r.cut = time.Since(begin)
		_ = d.cmd.Process.Kill()
		<-d.ended
	case <-d.ended:
		return nightResult{err: fmt.Errorf("%s ended by itself in the night %q: %s", c.name, n.name, log.head)}
	}
	minutes := time.Since(begin).Minutes()
	return r.judge(n, starts, begin, change, end, log, minutes)
}

// judge compares the starts that were noted with those that were expected.
func (r nightResult) judge(n night, starts string, begin, change, end time.Time, log *flood, minutes float64) nightResult {
	got := map[[2]int64]int{}
	text, _ := os.ReadFile(starts) // none where nothing was started
	runs := 0
	for line := range strings.Lines(string(text)) {
		var i, at int64
		if _, err := fmt.Sscan(line, &i, &at); err != nil {
			r.err = fmt.Errorf("%s: %q: %w", starts, line, err)
			return r
		}
		runs++
		got[[2]int64{i, (at - change.Unix() + 30*60) / 60 * 60}]++ // seconds late do not count: busybox is
	}
	for i, l := range n.lines {
		want := map[int64]bool{}
		for _, s := range l.starts {
			if s != minutely {
				want[int64(s)] = true
				continue
			}
			for at := begin.Truncate(time.Minute).Add(time.Minute); at.Before(end); at = at.Add(time.Minute) {
				want[at.Unix()-change.Unix()] = true
			}
		}
		lost, extra := 0, 0
		for at := range want {
			n := got[[2]int64{int64(i), at + 30*60}]
			delete(got, [2]int64{int64(i), at + 30*60})
			if n == 0 {
				lost++
			} else {
				extra += n - 1
			}
		}
		for k, n := range got {
			if k[0] == int64(i) {
				extra += n
			}
		}
		r.want, r.lost, r.extra = r.want+len(want), r.lost+lost, r.extra+extra
		if lost+extra > 0 {
			r.notes = append(r.notes, fmt.Sprintf("`%s` -%d +%d", l.schedule, lost, extra))
		}
	}
	r.lines, r.bytes = max(0, float64(log.lines-runs))/minutes, float64(log.bytes)/minutes
	return r
}

// flood counts a log, keeps its beginning, and tells when it is too long.
type flood struct {
	lines, bytes int
	head         []byte
	limit        int
	full         chan struct{}
}

func (f *flood) Write(p []byte) (int, error) {
	f.head = append(f.head, p[:min(len(p), 1000-min(1000, len(f.head)))]...)
	was := f.bytes
	f.lines, f.bytes = f.lines+bytes.Count(p, []byte("\n")), f.bytes+len(p)
	if was <= f.limit && f.bytes > f.limit {
		close(f.full)
	}
	return len(p), nil
}

func count(n float64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.0f million", n/1e6)
}
