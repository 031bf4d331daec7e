package supervise

import (
	"context"
	"encoding/json"

	"lb/admin/api"
)

func (c commands) Faults(int) []json.RawMessage                              { return nil }
func (c commands) FollowFaults(context.Context, func(json.RawMessage)) error { return nil }
func (c commands) Trace(context.Context, api.TraceAsk, func(json.RawMessage)) error {
	return nil
}
func (c commands) LogLevel() string         { return "" }
func (c commands) SetLogLevel(string) error { return nil }
func (c commands) History() api.History     { return api.History{} }
