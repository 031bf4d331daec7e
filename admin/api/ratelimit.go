package api

import "time"

// RateLimit is one of [[rate_limits]], and what it has counted since lb started.
type RateLimit struct {
	Name   string `json:"name"`
	Key    string `json:"key"`  // what is counted apart, as in the file
	Rate   string `json:"rate"` // as in the file
	Burst  int    `json:"burst"`
	DryRun bool   `json:"dry_run,omitempty"`

	Passed  uint64 `json:"passed"`  // requests within it
	Limited uint64 `json:"limited"` // requests that were refused
	Spared  uint64 `json:"spared"`  // requests that were not, because of dry_run

	Store      string    `json:"store,omitempty"`       // URL without credentials; "": this machine counts alone
	StoreState string    `json:"store_state,omitempty"` // StoreUp, StoreAway, or StoreNew
	StoreSince time.Time `json:"store_since,omitzero"`
	StoreFault string    `json:"store_fault,omitempty"` // why it is away
}

// The states of the store of a rate limit.
const (
	StoreUp   = "up"
	StoreAway = "away" // this machine counts alone
	StoreNew  = "new"  // it was not asked yet
)
