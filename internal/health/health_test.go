package health

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadyNeedsStartedAndEveryCheck(t *testing.T) {
	var s Set
	first := s.Check("first sync")
	if s.Ready().OK {
		t.Error("Ready() before Started = ok; want not ok")
	}
	s.Started()
	if r := s.Ready(); r.OK || r.Lines[1].Detail != "not yet" {
		t.Errorf("Ready() = %+v; want first sync not yet", r)
	}
	first.OK()
	if !s.Ready().OK {
		t.Errorf("Ready() = %+v; want ok", s.Ready())
	}
	first.Fail(errors.New("link is gone"))
	if r := s.Ready(); r.OK || r.Lines[1].Detail != "link is gone" {
		t.Errorf("Ready() = %+v; want the reason", r)
	}
	first.OK()
	s.Draining()
	if r := s.Ready(); r.OK || r.Lines[1].Name != "draining" {
		t.Errorf("Ready() while draining = %+v; want not ok", r)
	}
	if !s.Live().OK || !s.Startup().OK {
		t.Error("draining changed liveness or startup")
	}
}

func TestStartupIsFalseUntilStarted(t *testing.T) {
	var s Set
	if s.Startup().OK {
		t.Error("Startup() = ok; want not ok")
	}
	s.Started()
	if !s.Startup().OK {
		t.Error("Startup() after Started = not ok; want ok")
	}
}

func TestLiveFollowsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		beat := s.Beat("poll", time.Second)
		time.Sleep(time.Second)
		if !s.Live().OK {
			t.Errorf("Live() at the limit = %+v; want ok", s.Live())
		}
		time.Sleep(time.Millisecond)
		if r := s.Live(); r.OK || r.Lines[1].Detail != "last heartbeat 1.001s ago, allowed 1s" {
			t.Errorf("Live() past the limit = %+v; want the age", r)
		}
		beat.Pause()
		time.Sleep(time.Hour)
		if !s.Live().OK {
			t.Errorf("Live() while paused = %+v; want ok", s.Live())
		}
		beat.Tick()
		time.Sleep(2 * time.Second)
		if s.Live().OK {
			t.Error("Live() after a late tick = ok; want not ok")
		}
	})
}

func TestSameNameIsTheSameCondition(t *testing.T) {
	var s Set
	check, beat := s.Check("a"), s.Beat("b", 1)
	if s.Check("a") != check || s.Beat("b", 2) != beat {
		t.Error("a second declaration made a second condition")
	}
}
