package host

import (
	"fmt"
	"slices"
	"strings"
)

// Choice is the value of a flag that takes one of a few words.
type Choice struct {
	target *string
	words  []string
}

// OneOf binds a Choice to a field of the role's Config.
func OneOf(target *string, words ...string) *Choice { return &Choice{target, words} }

// Set accepts one of the words.
func (c *Choice) Set(value string) error {
	if !slices.Contains(c.words, value) {
		return fmt.Errorf("want one of %s", strings.Join(c.words, ", "))
	}
	*c.target = value
	return nil
}

func (c *Choice) String() string {
	if c == nil || c.target == nil {
		return ""
	}
	return *c.target
}
