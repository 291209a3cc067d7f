# SPDX-License-Identifier: MIT
# Strings made, split, counted and sorted.
rounds = (ARGV[0] || 6).to_i
rounds.times do |round|
  counts = Hash.new(0)
  60_000.times do |i|
    line = "line #{i} of round #{round} with a word#{i % 977} and " + "x" * (i % 90)
    line.split(" ").each { |word| counts[word] += 1 }
  end
  counts.sort_by { |word, count| [-count, word] }.map { |pair| pair.join(":") }.join(",")
end
puts "rest #{Process.pid}"
$stdout.flush
$stdin.read
