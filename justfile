# Frequent tasks. Every recipe is a plain command; `just` lists them.

_default:
    @just --list --unsorted

# The binary, ./lb: static, without paths of this machine, with its version
build:
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X lb/cli.release=$(git describe --tags --always --dirty 2>/dev/null)" -o lb .

# All tests
test:
    go test ./...

# What CI runs
check:
    .ci/run

# The simulation on the fake kernel, with invariants on; just sim SEED runs one seed and prints its trace
sim SEED="":
    go test -tags invariants -count=1 -run 'TestSimulation' ./proxy {{ if SEED == "" { "" } else { "-v -seed " + SEED } }}

# One fuzz target by its name, for a minute: just fuzz FuzzParse
fuzz NAME:
    go test -run '^$' -fuzz '^{{ NAME }}$' -fuzztime 60s "$(grep -rl --include='*_test.go' 'func {{ NAME }}(' . | head -n 1 | xargs dirname)"

# lb compared with a byte relay, nginx and HAProxy, some 13 minutes: just bench --scenario small --rounds 10; --help
bench *FLAGS:
    go run ./bench/compare {{ FLAGS }}

# README's figures and docs/benchmarks.md from a report: just bench-publish bench/results/2026-11-23.json
bench-publish REPORT:
    go run ./bench/compare --readme README.md --docs docs/benchmarks.md {{ REPORT }}

# Go benchmarks, compared with the kept ones; to keep the new ones: cp bench/results/micro.out bench/results/micro.txt
microbench:
    go test -run '^$' -bench . -benchmem -benchtime 0.2s -count 6 ./httpparse ./arena ./upstream ./loop ./proxy > bench/results/micro.out
    go run golang.org/x/perf/cmd/benchstat@latest bench/results/micro.txt bench/results/micro.out

# Allocations and instructions, which may grow by 3 % at most: just bench-guard -write keeps the present counts
bench-guard *FLAGS:
    go run ./bench/guard {{ FLAGS }}

# The demo: two backends and lb in front of them
demo:
    go run . serve --demo
