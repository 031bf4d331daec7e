package testkit

import (
	"context"
	"encoding/json"

	"lb/admin/api"
)

func (c *Control) Faults(max int) []json.RawMessage { return nil }
func (c *Control) FollowFaults(ctx context.Context, each func(json.RawMessage)) error {
	each(nil)
	<-ctx.Done()
	return nil
}
func (c *Control) Trace(ctx context.Context, ask api.TraceAsk, each func(json.RawMessage)) error {
	each(nil)
	<-ctx.Done()
	return nil
}
func (c *Control) Explain(api.ExplainAsk) (o api.Explained, e error) { return o, e }
func (c *Control) Settings() []api.Setting                           { return nil }
func (c *Control) LogLevel() string                                  { return "info" }
func (c *Control) SetLogLevel(string) error                          { return c.Err }
func (c *Control) History() api.History                              { return api.History{} }
