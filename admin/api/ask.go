package api

// AskError is the text of an error about a question that makes no sense.
type AskError string

// Error returns the text.
func (e AskError) Error() string { return string(e) }
