# What is done here often; every recipe is a plain command. `just` lists them.

_default:
    @just --list --unsorted

# The binary, ./lb
build:
    go build -o lb .

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

# lb beside a byte relay, nginx and HAProxy, some 9 minutes: just bench --scenario small --rounds 10; --help
bench *FLAGS:
    go run ./bench/compare {{ FLAGS }}

# Go benchmarks, compared with those kept; to keep these: cp bench/results/micro.out bench/results/micro.txt
microbench:
    go test -run '^$' -bench . -benchmem -benchtime 0.2s -count 6 ./httpparse ./arena ./upstream ./loop ./proxy > bench/results/micro.out
    go run golang.org/x/perf/cmd/benchstat@latest bench/results/micro.txt bench/results/micro.out

# Allocations and instructions, which may not grow by more than 3 %: just bench-guard -write keeps them
bench-guard *FLAGS:
    go run ./bench/guard {{ FLAGS }}

# The demo: two backends and lb before them
demo:
    go run . serve --demo
