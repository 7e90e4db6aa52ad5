package unpack

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Refusal says why an archive is not unpacked.
type Refusal struct {
	Archive string
	Member  string // as the archive has it; "" when it is about the whole
	Reason  string
	Hint    string // what can be done; may be empty
}

func (e *Refusal) Error() string {
	text := "unpack " + e.Archive + ": "
	if e.Member != "" {
		text += "member " + quote(e.Member) + " "
	}
	text += e.Reason
	if e.Hint != "" {
		text += "\nhint: " + e.Hint
	}
	return text
}

// quote makes a name printable and short.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		return strconv.Quote(name[:most]) + "..."
	}
	return strconv.Quote(name)
}

// reject is a refusal by code that knows neither the archive nor, often, the member.
func reject(member, reason, hint string) *Refusal {
	return &Refusal{Member: member, Reason: reason, Hint: hint}
}

func (r *run) refuse(member, reason, hint string) error { return r.fail(reject(member, reason, hint)) }

// fail names the archive in whatever went wrong.
func (r *run) fail(err error) error {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		if refusal.Archive == "" {
			refusal.Archive = r.name
		}
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("unpack %s: %w", r.name, err)
}

// in names the member in a refusal that has none, and puts it before other errors.
func in(member string, err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		if refusal.Member == "" {
			refusal.Member = member
		}
		return err
	}
	return fmt.Errorf("member %s: %w", quote(member), err)
}

// over is the refusal of what goes beyond a limit.
func over(member, flag string, limit any, met string) *Refusal {
	return reject(member, fmt.Sprintf("%s; the limit is %s=%v", met, flag, limit),
		fmt.Sprintf("if you trust the archive, raise %s", flag))
}
