// Package expo reads and writes the two text formats of Prometheus: text 0.0.4 and OpenMetrics 1.0. Reading checks every byte, and splits a body into the
// blocks of its families without making samples of them; Expand does that for a block that something has to look into. Writing copies
// blocks of the same dialect and converts the others. Whatever Decode takes, Prometheus takes, with the same samples.
//
// What a conversion loses, beside spaces and comments:
//
//	OpenMetrics to text   exemplars; units; fractions of a millisecond of timestamps; the types info, stateset (gauges in text, info keeps its suffix
//	                      in the name), gaugehistogram (a histogram in text, _gsum and _gcount become _sum and _count) and unknown (untyped).
//	                      _created becomes a gauge family of its own, as the Python client writes it.
//	text to OpenMetrics   nothing that a scraper stores. A counter's samples get _total; gauges that are called as the _created of a family of
//	                      the same page become its _created samples, so that the names do not clash; samples of a metric move together.
//	either                NUL bytes in values become U+FFFD
//	either, UTF-8 names   are escaped by underscores, unless the reader asked for escaping=allow-utf-8
//
// Samples that cannot be written at all are counted as model.Unstorable; families whose names clash in the written dialect as model.Conflict.
package expo
