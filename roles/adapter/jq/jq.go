// Package jq asks questions of JSON documents, in the language of jq.
package jq

import "github.com/itchyny/gojq"

// Query is a compiled question.
type Query struct{ code *gojq.Code }

// Compile reads a question.
func Compile(text string) (*Query, error) {
	q, err := gojq.Parse(text)
	if err != nil {
		return nil, err
	}
	code, err := gojq.Compile(q)
	if err != nil {
		return nil, err
	}
	return &Query{code}, nil
}
