// Package logline makes the numbered lines of test applications, and tells their numbers.
package logline

import (
	"bytes"
	"fmt"
	"strconv"
)

// The kinds of lines.
const (
	JSON  = "json"  // an object
	Plain = "plain" // text
	Trace = "trace" // a stack trace of seven lines
)

// Event is the event of a number, without the last line end.
func Event(kind string, seq int) (string, error) {
	switch kind {
	case JSON:
		return fmt.Sprintf(`{"seq":%d,"level":"warn","msg":"order seq=%d is late","user":"ann","password":"secret-%d"}`, seq, seq, seq), nil
	case Plain:
		return fmt.Sprintf("seq=%d an order went to a customer who asked for it on a rainy day", seq), nil
	case Trace:
		return fmt.Sprintf("2026-11-21 10:00:00,123 ERROR [worker-%d] shop.Orders - order failed seq=%d\n"+
			"java.lang.IllegalStateException: no stock for order %d\n\tat shop.Stock.take(Stock.java:42)\n\tat shop.Orders.run(Orders.java:17)\n"+
			"Caused by: java.io.IOException: end of stream\n\tat shop.Net.read(Net.java:9)\n\t... 2 more", seq%4, seq, seq), nil
	}
	return "", fmt.Errorf("kind %q is none of json, plain, trace", kind)
}

// Seq finds the number of an event in what became of it: the digits behind the first seq.
func Seq(text []byte) (int, bool) {
	i := bytes.Index(text, []byte("seq"))
	if i < 0 {
		return 0, false
	}
	rest := bytes.TrimLeft(text[i+len("seq"):], `\":= `)
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(string(rest[:end]))
	return n, err == nil
}
