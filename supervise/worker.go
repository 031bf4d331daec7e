package supervise

import "lb/supervise/crew"

// IsWorker reports whether this process was started as a worker, and has to call
// Worker and nothing else.
func IsWorker() bool { return crew.IsWorker() }

// Worker is the whole life of a worker process. It returns the exit code when
// the supervisor has told it to end, or is gone.
func Worker() (exitCode int) { return crew.Worker() }
