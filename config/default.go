package config

import (
	"time"

	"lb/config/logging"
)

// Default returns the configuration of lb without a file and without flags.
func Default() *Config {
	pool := NewPool(DefaultPool)
	pool.Backends = []Backend{
		{Host: "127.0.0.1", Port: 9001, Weight: 1},
		{Host: "127.0.0.1", Port: 9002, Weight: 1},
	}
	return &Config{
		Host:     "0.0.0.0",
		Port:     8080,
		Mode:     MP,
		LogLevel: "info",

		LogFormat: logging.FormatAuto,
		RequestID: "X-Request-ID",
		AccessLog: logging.DefaultAccessLog,
		Tracing:   logging.DefaultTracing,

		Paths: PathsReject,
		Watch: true,
		Pools: []Pool{pool},

		AbortOnClose: true,
		EarlyHints:   true,
		Retry: Retry{
			Attempts:  2,
			On:        RetryOn{Connect: true, Stale: true, Timeout: true},
			Budget:    0.2,
			BudgetMin: 3,
		},
		Admin: Admin{Address: "127.0.0.1:9900"},
		Timeouts: Timeouts{
			ClientIdle:   75 * time.Second,
			ClientHeader: 10 * time.Second,
			ClientBody:   30 * time.Second,
			ClientWrite:  30 * time.Second,
			Connect:      3 * time.Second,
			BackendWrite: 30 * time.Second,
			Response:     60 * time.Second,
			BackendBody:  60 * time.Second,
			BackendIdle:  60 * time.Second,
			TunnelIdle:   time.Hour,
			Queue:        5 * time.Second,
			Drain:        30 * time.Second,

			TunnelHalfClosed: 30 * time.Second,
			Handshake:        10 * time.Second,
		},
		TLS: TLS{
			MinVersion: TLS12,
			ClientAuth: ClientAuthNone,
			ACME:       ACME{Storage: "/var/lib/lb/acme"},
		},
		HTTP2: HTTP2{Enabled: true, Streams: 128},
		Limits: Limits{
			HeaderBytes: 64 << 10,
			Fields:      128,
			TargetBytes: 16 << 10,
		},
	}
}
