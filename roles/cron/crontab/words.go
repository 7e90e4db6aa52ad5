package crontab

import "strings"

// splitWords splits as a shell does, with quotes and backslashes but without putting
// anything in. On failure it says where and what.
func splitWords(text string) (words []string, bad int, problem string) {
	var word strings.Builder
	inside, quote, opened := false, byte(0), 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '\'' && c != '\'':
			word.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && i+1 == len(text):
			return nil, i, "nothing follows the backslash"
		case c == '\\' && (quote == 0 || strings.IndexByte("\"\\$`", text[i+1]) >= 0):
			i++
			word.WriteByte(text[i])
			inside = true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, opened, inside = c, i, true
		case isSpace(c):
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, opened, "the quote is not closed"
	}
	if inside {
		words = append(words, word.String())
	}
	return words, 0, ""
}
