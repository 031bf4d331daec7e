package api

import "time"

// AskError is the text of an error about a question that makes no sense.
type AskError string

// Error returns the text.
func (e AskError) Error() string { return string(e) }

// TraceMax is how long a trace may go on.
const TraceMax = 10 * time.Minute
