package adapter

import (
	"testing"
	"time"
)

func TestComplaintsAreNewsOnce(t *testing.T) {
	var c complaints
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration
		text  string
		want  news
	}{
		{0, "", nothingNew},
		{0, "5.3 is above 5", failsNow},
		{0, "15.31 is above 5", nothingNew},
		{2 * time.Minute, "7 is above 5", nothingNew},
		{0, "no answer within 1s", failsOtherwise},
		{time.Second, "7 is above 5", nothingNew}, // not before a minute is over
		{time.Minute, "7 is above 5", failsOtherwise},
		{0, "", wellAgain},
		{0, "", nothingNew},
		{0, "7 is above 5", nothingNew}, // it comes and goes
		{0, "", nothingNew},
		{0, "500", failsNow},
		{0, "", wellAgain},
		{time.Minute, "500", failsNow},
	} {
		now = now.Add(step.after)
		if got := c.hear("a", step.text, now); got != step.want {
			t.Errorf("step %d: hear(%q) = %d; want %d", i, step.text, got, step.want)
		}
	}
	if got := c.hear("b", "x", now); got != failsNow {
		t.Errorf("hear of another one = %d; want %d", got, failsNow)
	}
}
