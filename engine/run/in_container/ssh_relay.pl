# Runs inside the container where there is no python3: as relay.py. Only modules of perl-base.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;

open(my $file, '<', '/moat/ssh/endpoint') or exit 1;
my ($host, $port, $token) = split ' ', <$file>;
close $file;

$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
umask 0077;
my $server = IO::Socket::UNIX->new(Local => '/run/moat/ssh/agent.sock', Listen => 16) or exit 1;
while (my $client = $server->accept) {
    my $pid = fork;
    if (defined $pid && $pid == 0) {
        relay($client);
        exit 0;
    }
    close $client;
}

sub relay {
    my ($client) = @_;
    my $agent = IO::Socket::INET->new(PeerHost => $host, PeerPort => $port, Timeout => 10) or return;
    send_all($agent, pack('N', length $token) . $token) or return;
    my $both = IO::Select->new($client, $agent);
    while (my @ready = $both->can_read(3600)) {
        for my $source (@ready) {
            my $sink = $source == $client ? $agent : $client;
            my $count = sysread($source, my $data, 65536);
            return unless $count;
            send_all($sink, $data) or return;
        }
    }
}

sub send_all {
    my ($sink, $data) = @_;
    while (length $data) {
        my $sent = syswrite($sink, $data);
        return 0 unless $sent;
        substr($data, 0, $sent, '');
    }
    return 1;
}
