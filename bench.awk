# Reads the output of go test -bench and prints, for each benchmark, its fastest
# run and what multiple that is of the limit beside it.

/^Benchmark/ && $4 == "ns/op" {
	name = $1
	sub(/-[0-9]+$/, "", name) # GOMAXPROCS
	if (!(name in best)) {
		order[++n] = name
		best[name] = $3
		rest[name] = ""
		for (i = 5; i < NF; i += 2) rest[name] = rest[name] sprintf("%12s %s", $i, $(i + 1))
	}
	if ($3 + 0 < best[name] + 0) best[name] = $3
}

# limit returns the benchmark that name is compared with, "" when there is none.
function limit(name, group) {
	group = name
	sub(/\/[^\/]*$/, "", group)
	if (name ~ /^BenchmarkVerify\/.*\/(ours|repeat)$/) return group "/hash"
	if (name ~ /^BenchmarkVerify\/.*\/hash$/) return ""
	if (name ~ /\/first$/) return group "/limit"
	if (group "/bare" in best) return group "/bare"
	if (group "/limit" in best) return group "/limit"
	return ""
}

END {
	for (i = 1; i <= n; i++) {
		name = order[i]
		base = limit(name)
		ratio = base in best ? sprintf("%.2f", best[name] / best[base]) : ""
		printf "%-44s %12.0f ns %8s %s\n", name, best[name], ratio, rest[name]
	}
}
