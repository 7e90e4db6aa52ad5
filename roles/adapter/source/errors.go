package source

import (
	"fmt"
	"time"
)

type errTimeout struct{ limit time.Duration }

func (e errTimeout) Error() string { return fmt.Sprintf("no answer within %s", e.limit) }

// Timeout makes it an error of the network, as those who look for these know it.
func (e errTimeout) Timeout() bool { return true }

type panicked struct{ what any }

func (e panicked) Error() string { return fmt.Sprintf("the decoder panicked: %v", e.what) }
