/* The least that decoding given frames can cost: libavcodec alone, on one thread, on just the
 * packets that they need, which lie in memory before the clock starts. No demuxing, no seeking, no
 * conversion to RGB, no output.
 *
 *   cc -O2 bare.c $(pkg-config --cflags --libs libavformat libavcodec libavutil) -o bare
 *   bare FILE ROUNDS INDEX...
 *
 * Prints a JSON line: median CPU milliseconds of a round, packets sent, frames that came out.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    int start, end; /* packets in decoding order, both included */
} Range;

static AVPacket **packets;
static int packet_count, room;
static int *order;            /* presentation order -> packet */
static unsigned char *wanted; /* by packet */

static void fail(const char *what) {
    fprintf(stderr, "bare: %s\n", what);
    exit(1);
}

static int by_pts(const void *a, const void *b) {
    int64_t x = packets[*(const int *)a]->pts, y = packets[*(const int *)b]->pts;
    return (x > y) - (x < y);
}

static int by_start(const void *a, const void *b) {
    return ((const Range *)a)->start - ((const Range *)b)->start;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cpu_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void keep(AVPacket *packet) {
    if (packet_count == room) {
        room = room ? room * 2 : 4096;
        packets = realloc(packets, room * sizeof *packets);
        if (!packets) fail("no memory");
    }
    packets[packet_count++] = av_packet_clone(packet);
}

/* Packets from the last key packet that is decoded and shown no later than the frame. */
static Range needed(int packet) {
    int start = packet;
    while (start > 0 && !((packets[start]->flags & AV_PKT_FLAG_KEY) &&
                          packets[start]->pts <= packets[packet]->pts))
        start--;
    return (Range){start, packet};
}

static int receive(AVCodecContext *context, AVFrame *frame) {
    int count = 0;
    while (avcodec_receive_frame(context, frame) == 0) {
        count++;
        av_frame_unref(frame);
    }
    return count;
}

int main(int argc, char **argv) {
    AVFormatContext *format = NULL;
    const AVCodec *codec = NULL;
    av_log_set_level(AV_LOG_QUIET);
    if (argc < 4) fail("usage: bare FILE ROUNDS INDEX...");
    if (avformat_open_input(&format, argv[1], NULL, NULL) < 0) fail("cannot open the file");
    if (avformat_find_stream_info(format, NULL) < 0) fail("no streams");
    int stream = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (stream < 0) fail("no video");
    const AVCodec *preferred = codec->id == AV_CODEC_ID_AV1 ? avcodec_find_decoder_by_name("libdav1d") : NULL;
    if (preferred) codec = preferred;

    AVPacket *packet = av_packet_alloc();
    while (av_read_frame(format, packet) >= 0) {
        if (packet->stream_index == stream) keep(packet);
        av_packet_unref(packet);
    }
    int shown = 0;
    order = calloc(packet_count, sizeof *order);
    wanted = calloc(packet_count, 1);
    for (int i = 0; i < packet_count; i++)
        if (!(packets[i]->flags & AV_PKT_FLAG_DISCARD)) order[shown++] = i;
    qsort(order, shown, sizeof *order, by_pts);

    int targets = argc - 3, ranges = 0;
    Range *range = calloc(targets, sizeof *range);
    for (int i = 0; i < targets; i++) {
        int index = atoi(argv[i + 3]);
        if (index < 0 || index >= shown) fail("no such frame");
        wanted[order[index]] = 1;
        range[i] = needed(order[index]);
    }
    qsort(range, targets, sizeof *range, by_start);
    for (int i = 0; i < targets; i++) { /* one range for each key packet */
        if (ranges && range[ranges - 1].start == range[i].start) {
            if (range[i].end > range[ranges - 1].end) range[ranges - 1].end = range[i].end;
        } else {
            range[ranges++] = range[i];
        }
    }

    int rounds = atoi(argv[2]), sent = 0, out = 0;
    double *spent = calloc(rounds, sizeof *spent);
    AVFrame *frame = av_frame_alloc();
    for (int round = 0; round < rounds; round++) {
        double before = cpu_milliseconds();
        AVCodecContext *context = avcodec_alloc_context3(codec);
        avcodec_parameters_to_context(context, format->streams[stream]->codecpar);
        context->thread_count = 1;
        if (avcodec_open2(context, codec, NULL) < 0) fail("cannot open the decoder");
        sent = out = 0;
        for (int i = 0; i < ranges; i++) {
            for (int j = range[i].start; j <= range[i].end; j++, sent++) {
                context->skip_frame = wanted[j] ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
                if (avcodec_send_packet(context, packets[j]) < 0) fail("a packet was refused");
                out += receive(context, frame);
            }
            avcodec_send_packet(context, NULL);
            out += receive(context, frame);
            avcodec_flush_buffers(context);
        }
        avcodec_free_context(&context);
        spent[round] = cpu_milliseconds() - before;
    }
    qsort(spent, rounds, sizeof *spent, by_value);
    printf("{\"cpu_ms\": %.3f, \"packets\": %d, \"frames\": %d}\n", spent[rounds / 2], sent, out);
    return 0;
}
