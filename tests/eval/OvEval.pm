# SPDX-License-Identifier: BSD-2-Clause
#
# What the measurements share: files, the corpus, the five tools, the tables.
# in:  the environment (below), the command line
# out: functions
#
# OV_BUILDDIR  where the tools were built (tools/ov-vad ...); else from PATH
# OV_CORPUS    folder with corpus/ and corpus-slt/ (default models/work)
# OV_SHARED    folder with public test material (default ../shared)
package OvEval;

use strict;
use warnings;
use Compress::Raw::Zlib ();
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Temp qw(tempdir);
use Getopt::Long qw(GetOptions);

our @EXPORT = qw(
    $HERE $TOP RATE die_skip note options work_dir have need_tools model_dir
    sh run_quiet quote silence wav_read wav_write corpus corpus_dir questions
    sound_of pick_even hear answers edits number_of number_words operands
    mirror_of pct row finish frames_of stream_rewrite judge lines_of compile
    shuffled random_below untrained spoken_answers codec_channel
);

use constant RATE => 16000;

our $HERE = abs_path(dirname(__FILE__));
our $TOP = dirname(dirname($HERE));
our %opt = (model => 'default', rows => undef, keep => undef, quick => 0);
our $me = basename($0);
my $work;

$ENV{OV_MODEL_PATH} = "$TOP/models" if !defined $ENV{OV_MODEL_PATH};
if (defined $ENV{OV_BUILDDIR}) {
    $ENV{PATH} = "$ENV{OV_BUILDDIR}/tools:$ENV{PATH}";
} elsif (-x "$TOP/build/tools/ov-vad") {
    $ENV{PATH} = "$TOP/build/tools:$ENV{PATH}";
}

# Exit status 77: cannot be measured here, said in one line (in an eval, only
# that is over).
sub die_skip
{
    die "@_\n" if $^S;
    print STDERR "$me: skipped: @_\n";
    exit 77;
}
sub note { print STDERR "$me: @_\n" if -t STDERR || $ENV{OV_EVAL_VERBOSE}; }

# Common options and those of the caller (Getopt::Long pairs).
sub options
{
    my ($usage, %more) = @_;
    my $ok = GetOptions('model=s' => \$opt{model}, 'rows=s' => \$opt{rows},
        'keep=s' => \$opt{keep}, 'quick' => \$opt{quick}, %more);
    if (!$ok || @ARGV) {
        print STDERR "usage: $me $usage\n"
            . "  --model NAME  the model (default)\n"
            . "  --quick       a small part of everything\n"
            . "  --rows FILE   append the rows of the table to FILE\n"
            . "  --keep DIR    leave the sounds and lists in DIR\n";
        exit 2;
    }
    return \%opt;
}

sub work_dir
{
    if (!defined $work) {
        if (defined $opt{keep}) {
            $work = $opt{keep};
            mkdir $work;
            -d $work or die "$me: $work: $!\n";
            $work = abs_path($work);
        } else {
            $work = tempdir('ov-eval.XXXXXX', TMPDIR => 1, CLEANUP => 1);
        }
    }
    return $work;
}

sub have
{
    my $program = shift;
    return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

# Skip if a program is missing; pairs of program and Debian package.
sub need_tools
{
    my %package = @_;
    for (sort keys %package) {
        die_skip("no $_ (" . ($package{$_} =~ /^ov$/ ? 'build it first'
            : "Debian: $package{$_}") . ')') if !have($_);
    }
}

sub quote { return join ' ', map { "'" . s/'/'\\''/gr . "'" } @_; }

# A shell command; its standard output.
sub sh
{
    my $command = shift;
    my $out = `$command`;
    $? == 0 or die "$me: status " . ($? >> 8) . ": $command\n";
    return $out;
}

sub run_quiet
{
    system(quote(@_) . ' >/dev/null 2>&1') == 0
        or die "$me: failed: @_\n";
}

sub model_dir
{
    my $name = shift // $opt{model};
    return $name if $name =~ m{/};
    for (split /:/, $ENV{OV_MODEL_PATH}) {
        return "$_/$name" if -f "$_/$name/config.json";
    }
    die_skip("no model '$name' in $ENV{OV_MODEL_PATH}");
}

# A model of the same shape with random weights; undef where the trainer
# cannot make one.
sub untrained
{
    my $dir = work_dir() . '/untrained';
    my $like = model_dir();

    return $ENV{OV_UNTRAINED} if defined $ENV{OV_UNTRAINED};
    return $dir if -f "$dir/config.json";
    return undef if !have('ov-train');
    my $command = quote('ov-train', 'init', '--config', "$like/config.json",
        $dir);
    return undef if system("$command >/dev/null 2>&1") != 0;
    return -f "$dir/config.json" ? $dir : undef;
}

# ------------------------------------------------------------------ sound

sub silence { return "\0\0" x int(RATE * $_[0] + 0.5); }

# Samples as a string of s16le, 16 kHz mono.
sub wav_write
{
    my ($path, $pcm) = @_;
    my $n = length $pcm;
    open my $f, '>:raw', $path or die "$me: $path: $!\n";
    print $f 'RIFF', pack('V', 36 + $n), 'WAVEfmt ',
        pack('VvvVVvv', 16, 1, 1, RATE, 2 * RATE, 2, 16), 'data',
        pack('V', $n), $pcm;
    close $f or die "$me: $path: $!\n";
}

# The data of a 16-bit mono WAV.  Lengths that mean "not known" are allowed.
sub wav_read
{
    my $path = shift;
    local $/;
    open my $f, '<:raw', $path or die "$me: $path: $!\n";
    my $all = <$f>;
    close $f;
    die "$me: $path: not WAV\n"
        if length $all < 12 || $all !~ /\ARIFF....WAVE/s;
    my $at = 12;
    while ($at + 8 <= length $all) {
        my ($id, $n) = unpack 'a4V', substr $all, $at, 8;
        return substr $all, $at + 8, $n == 0xffffffff ? length $all : $n
            if $id eq 'data';
        $at += 8 + $n + $n % 2;
    }
    die "$me: $path: no sound\n";
}

# ----------------------------------------------------------------- corpus

sub corpus_dir
{
    my $base = $ENV{OV_CORPUS} // "$TOP/models/work";
    my $dir = "$base/$_[0]";
    -f "$dir/utts.tsv" or die_skip("no $dir: models/recipe/synthesise makes "
        . 'it (minutes)');
    return $dir;
}

sub lines_of
{
    my $path = shift;
    open my $f, '<', $path or die "$me: $path: $!\n";
    chomp(my @line = <$f>);
    return @line;
}

# The utterances for which keep->($row) is true, in the order of the file;
# those about pictures only if they are wanted.
sub corpus
{
    my ($which, $keep, $pictures) = @_;
    my $dir = corpus_dir($which);
    my @rows;
    for (lines_of("$dir/utts.tsv")) {
        my %r;
        @r{qw(offset n role voice split family id text)} = split /\t/, $_, -1;
        $r{file} = "$dir/audio.s16";
        $r{kind} = $r{voice} =~ s/:.*//sr;
        next if $r{family} =~ /^picture-/ && !$pictures;
        push @rows, \%r if $keep->(\%r);
    }
    return @rows;
}

# id -> [split, family, question, answer], without those about pictures
sub questions
{
    my %q;
    for (lines_of(corpus_dir('corpus') . '/questions.tsv')) {
        my ($id, @rest) = split /\t/, $_, -1;
        $q{$id} = \@rest if $rest[1] !~ /^picture-/;
    }
    return \%q;
}

sub sound_of
{
    my $r = shift;
    open my $f, '<:raw', $r->{file} or die "$me: $r->{file}: $!\n";
    seek $f, 2 * $r->{offset}, 0;
    read($f, my $pcm, 2 * $r->{n}) == 2 * $r->{n}
        or die "$me: $r->{file}: ends early\n";
    close $f;
    return $pcm;
}

# At most n of a list, evenly spread, always the same ones.
sub pick_even
{
    my ($n, @list) = @_;
    return @list if @list <= $n;
    return map { $list[int(($_ + 0.5) * @list / $n)] } 0 .. $n - 1;
}

# ------------------------------------------------------- random, the same

my $seed = 1;
sub random_below
{
    my ($n, $new) = @_;
    $seed = $new if defined $new;
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    return int(($seed >> 8) * $n / 8388608);
}

# A list in an order in which no element equals (eq) the one it stands for.
sub shuffled
{
    my @list = @_;
    my @order = sort { $list[$a] cmp $list[$b] || $a <=> $b } 0 .. $#list;
    my (%count, @out);
    $count{$_}++ for @list;
    my ($most) = sort { $b <=> $a } values %count, 0;
    # sorted, turned by the size of the largest group: no group meets itself
    $out[$order[$_]] = $list[$order[($_ + $most) % @order]] for 0 .. $#order;
    return @out;
}

# ------------------------------------------------------------- the tools

# Files to turns: for each file the numbers of the turns in it.  The stream
# has the same turns in the same order.
sub hear
{
    my @files = @_;
    my %at;
    my @turns = map { [] } @files;
    $at{$files[$_]} = $_ for 0 .. $#files;
    # a second file, so that the names are printed even for a single one
    my $out = sh(quote('ov-vad', '-q', '-m', $opt{model}, '--events', @files,
        @files == 1 ? @files : ()));
    my $n = 0;
    for (split /\n/, $out) {
        my ($start, $end, $peak, $name) = split /\t/;
        defined $name && defined $at{$name}
            or die "$me: ov-vad --events: what is '$_'?\n";
        push @{$turns[$at{$name}]}, $n++;
    }
    splice @{$turns[0]}, @{$turns[0]} / 2 if @files == 1;
    return @turns;
}

# The written answers to files: a reference to [text, ...] for each, one for
# every turn that was heard in it.  The files are no conversation.
#     model   another for all that comes after ov-vad
#     direct  no ov-vad: each file is one turn
#     task    of ov-fuse
sub answers
{
    my ($how, @files) = @_;
    my $model = $how->{model} // $opt{model};
    my @task = $how->{task} ? ('--task', $how->{task}) : ();
    my $after = ' | ' . quote('ov-fuse', '-q', '-m', $model, @task) . ' | '
        . quote('ov-generate', '-q', '-m', $model, '--text', '--memory', 0);
    my @answers;
    while (my @now = splice @files, 0, 100) {
        my $n = 0;
        my @turns = $how->{direct} ? map { [$n++] } @now : hear(@now);
        $n = 0;
        $n += @$_ for @turns;
        my @encode = ('ov-encode', '-q', '-m', $model);
        my $front = $how->{direct} ? quote(@encode, @now)
            : quote('ov-vad', '-q', '-m', $opt{model}, @now) . ' | '
            . quote(@encode);
        my @line = split /\n/, sh($front . $after), -1;
        pop @line if @line && $line[-1] eq '';
        if (@line != $n) {
            # a control of random weights may say line ends: no answers then
            die "$me: $n turns but " . @line . " answers\n"
                if !defined $how->{model};
            @line = ('') x $n;
        }
        push @answers, [map { $line[$_] =~ s/^\s+|\s+$//gr } @$_]
            for @turns;
        note(scalar(@answers) . ' answered');
    }
    return @answers;
}


# The answers to files with their sound: a reference to [{text, pcm}, ...]
# for each file, one for every turn.  model: another for all after ov-vad.
sub spoken_answers
{
    my ($how, @files) = @_;
    my $model = $how->{model} // $opt{model};
    my $stream = work_dir() . '/answers.ovs';
    my @answers;
    while (my @now = splice @files, 0, 50) {
        my @turns = hear(@now);
        sh(join ' | ', quote('ov-vad', '-q', '-m', $opt{model}, @now),
            map { quote(@$_) } ['ov-encode', '-q', '-m', $model],
            ['ov-fuse', '-q', '-m', $model],
            ['ov-generate', '-q', '-m', $model, '--memory', 0, '-o', $stream]);
        my $sound = sh(quote('ov-vocode', '-q', '-m', $model, '-f', 'raw',
            $stream));
        my @said = split_answers($stream, $sound);
        push @answers, [map { $said[$_] } @$_] for @turns;
        note(scalar(@answers) . ' answered');
    }
    return @answers;
}

# Codebooks, entries and samples a frame of the codec channel of a stream.
sub codec_channel
{
    for (@_) {
        next if $_->{type} != 2 || $_->{data} !~ m{^vocabulary=.*/codec$}m;
        my %k = $_->{data} =~ /^([a-z]+)=(.*)$/mg;
        my %c = (number => $_->{channel}, codebooks => $k{shape},
            entries => $k{entries} // 1024, hop => $k{hop},
            rate => $k{rate});
        return \%c;
    }
    die "$me: no codec tokens in the stream\n";
}

sub split_answers
{
    my ($stream, $sound) = @_;
    my @frames = frames_of($stream);
    my $codec = codec_channel(@frames);
    my ($text) = map { $_->{channel} }
        grep { $_->{type} == 2 && $_->{data} =~ m{^vocabulary=.*/text$}m }
        @frames;
    my (@said, %at);
    for (@frames) {
        if ($_->{type} == 4 && !defined $at{$_->{turn}}) {
            $at{$_->{turn}} = @said;
            push @said, {text => '', samples => 0};
        }
        next if !defined $at{$_->{turn}};
        my $s = $said[$at{$_->{turn}}];
        if ($_->{type} == 0x80 && $_->{channel} == $text) {
            $s->{text} .= $1 if $_->{data} =~ /^text=(.*)$/m;
        } elsif ($_->{type} == 3 && $_->{channel} == $codec->{number}) {
            $s->{samples} += length($_->{data}) / 4 / $codec->{codebooks}
                * $codec->{hop};
        }
    }
    my $tail = length($sound) / 2;
    $tail -= $_->{samples} for @said;
    $tail = @said ? $tail / @said : 0;
    $tail == int $tail or die "$me: the sound is not as long as its codes\n";
    my $from = 0;
    for (@said) {
        $_->{text} =~ s/^\s+|\s+$//g;
        my $n = $_->{samples} ? $_->{samples} + $tail : 0;
        $_->{pcm} = substr $sound, 2 * $from, 2 * $n;
        $from += $n;
    }
    return @said;
}

# The frames of a stream: {type, flags, channel, turn, pts, seq, data}.
sub frames_of
{
    my $path = shift;
    local $/;
    open my $f, '<:raw', $path or die "$me: $path: $!\n";
    my $all = <$f>;
    close $f;
    $all =~ s/\A\x89OVS\r\n\x1a\n// or die "$me: $path: not a stream\n";
    my ($at, @frames) = (0);
    while ($at + 32 <= length $all) {
        my %h;
        @h{qw(sync type flags channel length turn pts seq crc)}
            = unpack 'a4CCvVVQ<VV', substr $all, $at, 32;
        $h{sync} eq "\xf5OV\xa6" or die "$me: $path: $at: no frame\n";
        $h{data} = substr $all, $at + 32, $h{length};
        push @frames, \%h;
        $at += 32 + $h{length} + (8 - $h{length} % 8) % 8 + 8;
    }
    return @frames;
}

# Write a stream from such frames.
sub stream_rewrite
{
    my ($path, @frames) = @_;
    open my $f, '>:raw', $path or die "$me: $path: $!\n";
    print $f "\x89OVS\r\n\x1a\n";
    for (@frames) {
        my $n = length $_->{data};
        my $head = pack 'a4CCvVVQ<V', "\xf5OV\xa6", @$_{qw(type flags
            channel)}, $n, @$_{qw(turn pts seq)};
        my $crc = Compress::Raw::Zlib::crc32($head);
        print $f $head, pack('V', $crc), $_->{data},
            "\0" x ((8 - $n % 8) % 8), pack 'VV',
            Compress::Raw::Zlib::crc32($_->{data}, $crc), 0;
    }
    close $f or die "$me: $path: $!\n";
}

# A program of this folder, compiled where it has not been.
sub compile
{
    my ($name, @flags) = @_;
    my $built = ($ENV{OV_BUILDDIR} // "$TOP/build") . "/tests/eval/$name";
    my $own = work_dir() . "/$name";
    return $built if -x $built && !@flags;
    return $own if -x $own;
    my $cc = $ENV{CC} // 'cc';
    my $log = system("$cc -std=gnu11 -O2 -o " . quote($own,
        "$HERE/$name.c") . " @flags -lm >" . quote("$own.log") . ' 2>&1');
    return $log == 0 ? $own : undef;
}

# The judge on a list of [wav, expected]; sentences: all that can be said.
# A reference to a list of {ok, expected, heard, score, why}, and the totals.
sub judge
{
    my ($name, $sentences, @list) = @_;
    my @more = ref $list[0] eq 'HASH' ? %{shift @list} : ();
    my $base = work_dir() . "/judge-$name";
    open my $s, '>', "$base.sentences" or die "$me: $base: $!\n";
    print $s "$_\n" for @$sentences;
    close $s;
    open my $l, '>', "$base.list" or die "$me: $base: $!\n";
    print $l "$_->[0]\t$_->[1]\n" for @list;
    close $l;
    my $out = sh(quote("$HERE/judge", '--sentences', "$base.sentences",
        '--list', "$base.list", map { $_ =~ /^[a-z]/ ? "--$_" : $_ } @more));
    my (@clips, %total);
    for (split /\n/, $out) {
        my @c = split /\t/, $_, -1;
        if ($c[0] eq 'total') {
            $total{$c[1]} = $c[2];
        } else {
            my %clip;
            @clip{qw(ok why score heard expected wav)} = @c;
            push @clips, \%clip;
        }
    }
    @clips == @list or die "$me: the judge lost clips\n";
    return (\@clips, \%total);
}

# ----------------------------------------------------------------- counts

# Word edits that make the heard from the expected, and the expected words.
sub edits
{
    my ($expected, $heard) = @_;
    my @a = split ' ', $expected;
    my @b = split ' ', $heard;
    my @d = 0 .. @b;
    for my $i (1 .. @a) {
        my $diagonal = $d[0];
        $d[0] = $i;
        for my $j (1 .. @b) {
            my $best = $diagonal + ($a[$i - 1] ne $b[$j - 1]);
            $best = $d[$j] + 1 if $d[$j] + 1 < $best;
            $best = $d[$j - 1] + 1 if $d[$j - 1] + 1 < $best;
            ($diagonal, $d[$j]) = ($d[$j], $best);
        }
    }
    return ($d[@b], scalar @a);
}

my @UNITS = qw(zero one two three four five six seven eight nine ten eleven
    twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    twenty);
my %NUMBER = map { $UNITS[$_] => $_ } 0 .. $#UNITS;

sub number_words { return $UNITS[$_[0]]; }
sub number_of { return $NUMBER{$_[0]}; }

# A question's operands in the order of the computation, "7+5" or "12-4".
sub operands
{
    my $question = shift;
    my @n = map { $NUMBER{$_} } grep { defined $NUMBER{$_} }
        split ' ', $question;
    return undef if @n != 2;
    return "$n[1]-$n[0]" if $question =~ /\bfrom\b/;
    return $question =~ /minus|take away/ ? "$n[0]-$n[1]" : "$n[0]+$n[1]";
}

# The same sum the other way round; undef for differences.
sub mirror_of
{
    my ($a, $b) = $_[0] =~ /^(\d+)\+(\d+)$/ or return undef;
    return "$b+$a";
}

sub pct
{
    my ($k, $n) = @_;
    return '-' if !$n;
    return sprintf '%.1f %% (%d/%d)', 100 * $k / $n, $k, $n;
}

# --------------------------------------------------------------- the table

# One row: what, on, target, measured, controls.  met: 1, 0, or undef where
# there is no target.
sub row
{
    my (%r) = @_;
    my $verdict = !defined $r{met} ? '' : $r{met} ? 'yes' : 'no';
    my @c = map { ($_ // '') =~ s/[\t\n|]/ /gr }
        @r{qw(what on target measured controls)}, $verdict;
    print "\n$c[0], $c[1]: $c[3]", $c[2] ne '' ? " (target $c[2])" : '',
        $c[4] ne '' ? "; controls: $c[4]" : '', "\n";
    return if !defined $opt{rows};
    open my $f, '>>', $opt{rows} or die "$me: $opt{rows}: $!\n";
    print $f join("\t", @c), "\n";
    close $f;
}

1;
