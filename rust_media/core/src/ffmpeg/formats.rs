//! Which containers may be opened: demuxers that only ever read the medium itself. Playlists
//! (HLS, concat, SDP, DASH) are left out: a hostile one could make the process read other files.

const VIDEO: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,\
                     ogg,gif,h264,hevc,m4v,mjpeg,ivf,obu,av1,nut,mxf,rm,dv,wtv,y4m,yuv4mpegpipe,\
                     swf,webp_pipe,apng,vc1,vc1test,h263,h261,live_flv,mpjpeg";

const AUDIO: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,nut,mxf,\
                     rm,dv,wtv,wav,w64,aiff,caf,au,mp3,aac,flac,ac3,eac3,dts,dtshd,truehd,mlp,\
                     amr,amrnb,amrwb,ape,wv,tta,tak,gsm,voc,mpc,mpc8,loas,latm,oma,sox,rf64";

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its best video stream.
    Video,
    /// Its best audio stream.
    Audio,
}

impl Kind {
    /// FFmpeg's names of the demuxers that may be used.
    pub(super) fn formats(self) -> &'static str {
        match self {
            Self::Video => VIDEO,
            Self::Audio => AUDIO,
        }
    }

    /// The word for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}
