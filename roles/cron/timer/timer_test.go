package timer

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchTellsASetClockFromTimeThatPassed(t *testing.T) {
	begin := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name          string
		wall, elapsed time.Duration
		want          time.Duration
	}{
		{"both went on", time.Minute, time.Minute, 0},
		{"slewed", time.Hour + 400*time.Millisecond, time.Hour, 0},
		{"set forward", time.Hour, time.Minute, 59 * time.Minute},
		{"set back", -time.Hour, time.Minute, -61 * time.Minute},
		{"suspended", 8 * time.Hour, 8 * time.Hour, 0},
	}
	for _, tt := range tests {
		w := watch{wall: begin, elapsed: time.Hour}
		if got := w.look(begin.Add(tt.wall), time.Hour+tt.elapsed); got != tt.want {
			t.Errorf("%s: step = %v; want %v", tt.name, got, tt.want)
		}
		if got := w.look(begin.Add(tt.wall), time.Hour+tt.elapsed); got != 0 {
			t.Errorf("%s: step of a second look = %v; want 0", tt.name, got)
		}
	}
}

func TestPortableComesInTimeAndLooksInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Portable()
		defer p.Close()
		begin := time.Now()
		p.Set(begin.Add(70 * time.Second))
		var at []time.Duration
		for {
			<-p.C()
			now, step := p.Look()
			at = append(at, now.Sub(begin))
			if step != 0 {
				t.Errorf("step at %v = %v; want 0", now, step)
			}
			if now.Sub(begin) >= 70*time.Second {
				break
			}
			p.Set(begin.Add(70 * time.Second))
		}
		if len(at) != 3 || at[2] != 70*time.Second {
			t.Errorf("looked at %v; want 30s, 1m, 1m10s", at)
		}
		p.Set(time.Time{})
		<-p.C()
		if got := time.Since(begin); got != 100*time.Second {
			t.Errorf("with nothing to wait for it looked at %v; want 1m40s", got)
		}
	})
}

func TestNewComesNotEarlyAndCanBeMoved(t *testing.T) {
	timer := New()
	defer timer.Close()
	timer.Set(time.Now().Add(time.Hour))
	at := time.Now().Add(30 * time.Millisecond)
	timer.Set(at)
	<-timer.C()
	now, step := timer.Look()
	if now.Before(at) || step != 0 {
		t.Errorf("alarm at %v, step %v; want not before %v and no step", now, step, at)
	}
	timer.Set(time.Now().Add(-time.Hour))
	<-timer.C() // what is over is due at once
	timer.Set(time.Time{})
	select {
	case <-timer.C():
		t.Error("an alarm that is off came")
	default:
	}
}
