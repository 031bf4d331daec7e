// Command lb is an HTTP/1.1 load balancer. Package cli is its command line.
package main

import (
	"os"

	"lb/cli"
)

func main() { os.Exit(cli.Main()) }
