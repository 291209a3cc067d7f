# SPDX-License-Identifier: MIT
# Hashes of lists filled from lines that regular expressions take apart; sorted, joined, dropped.
use strict;
use warnings;
$| = 1;
my $rounds = shift // 6;
for my $round (1 .. $rounds) {
    my %lines;
    for my $i (1 .. 80_000) {
        my $line = "key" . ($i % 5003) . "=value $i of round $round " . ("x" x ($i % 70));
        push @{ $lines{$1} }, $2 if $line =~ /^(\w+)=(.*)$/;
    }
    my $text = join "\n", map { "$_: " . join(",", sort @{ $lines{$_} }) } sort keys %lines;
    die "short\n" if length $text < 80_000;
}
print "rest $$\n";
local $/;
<STDIN>;
