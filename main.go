// Command lb is a load balancer for HTTP and gRPC. Package cli is its command line.
package main

import (
	"os"

	"lb/cli"
)

func main() { os.Exit(cli.Main()) }
