//! The five cars, seen from the side and facing right: the origin is on the
//! ground below the middle, a car some 600 units long.

use super::paint::{Canvas, Ink};

const CHROME: &str = "#ffffff #cfd8e0 #6f7c88 #e8eef2 #8a96a0";
const GLASS: &str = "#cfe9f5 #8fc0d8 #3d6580 #22394c";

#[derive(Clone, Copy)]
enum Rim {
    Spokes(u8),
    Steel,
}

/// A painted body and its arches; what lies on it is drawn by each car.
struct Shell<'a> {
    shape: &'a str,
    top: f32,
    paint: &'a str,
    wheels: [f32; 2],
    radius: f32,
}

impl Shell<'_> {
    fn draw(&self, c: &mut Canvas, rim: Rim, spin: f32, trim: impl FnOnce(&mut Canvas)) {
        let r = self.radius;
        self.shadow(c);
        c.fill(self.shape, Ink::Down(self.top, -36.0, self.paint));
        c.within(self.shape, |c| {
            trim(c);
            // The road darkens the sills, the ends turn away from the light.
            c.fill("R -400 -110 800 90", Ink::Down(-110.0, -36.0, "#00000000 #00000066"));
            let ends = "#00000070 #00000000@0.12 #00000000@0.9 #00000050";
            c.fill("R -400 -400 800 400", Ink::Across(-320.0, 320.0, ends));
            for x in self.wheels {
                c.at(x, -r, r, r, |c| {
                    c.fill("O 0 0 1.24 1.24", "#00000055");
                    c.fill("O 0 0 1.17 1.17", "#0c0d12");
                });
            }
        });
        for x in self.wheels {
            c.at(x, -r, r, r, |c| {
                let lip = Ink::Down(-1.3, -0.2, "#ffffffaa #ffffff00");
                c.stroke("M -1.2 0 C -1.2 -1.6 1.2 -1.6 1.2 0", 0.05, lip);
                wheel(c, rim, spin);
            });
        }
    }

    /// Dark where the tyres stand and under the floor: without it a car floats.
    fn shadow(&self, c: &mut Canvas) {
        let ([rear, front], r) = (self.wheels, self.radius);
        let (middle, half) = (f32::midpoint(rear, front), (front - rear) / 2.0 + 2.3 * r);
        c.at(middle, -1.0, half, 24.0, |c| {
            let soft = "#05040ce0 #05040cc8@0.55 #05040c50@0.85 #05040c00";
            c.fill("O 0 0 1 1", Ink::Round(0.0, 0.0, 1.0, soft));
        });
        let wide = front - rear;
        let floor = Ink::Down(-80.0, -12.0, "#08070d@0.5 #08070dc0@0.65 #08070d00");
        c.fill(&format!("R {rear} -80 {wide} 68"), floor);
    }
}

fn wheel(c: &mut Canvas, rim: Rim, spin: f32) {
    c.fill("O 0 0 1 1", Ink::Round(0.0, 0.0, 1.0, "#0b0c10@0.7 #2b2d34@0.82 #15161b"));
    c.stroke("O 0 0 0.84 0.84", 0.025, "#4a4d57");
    c.fill("O 0 0 0.68 0.68", Ink::Down(-0.7, 0.7, CHROME));
    c.fill("O 0 0 0.61 0.61", "#17191f");
    c.turned(spin, |c| match rim {
        Rim::Spokes(count) => {
            c.fill("O 0 0 0.4 0.4", "#3c414b");
            for _ in 0..count {
                c.fill(
                    "M -0.12 0 L -0.07 -0.62 L 0.07 -0.62 L 0.12 0 Z",
                    Ink::Across(-0.12, 0.12, "#f4f7fa #a9b3bd #7b8791"),
                );
                c.rotate(360.0 / f32::from(count));
            }
            c.fill("O 0 0 0.19 0.19", "#dfe5ea");
            c.fill("O 0 0 0.1 0.1", "#5a646e");
        }
        Rim::Steel => {
            let disc = Ink::Round(-0.1, -0.15, 0.75, "#ffffff #dfe3e6@0.5 #9aa2aa");
            c.fill("O 0 0 0.57 0.57", disc);
            for _ in 0..8_u8 {
                c.fill("O 0 -0.47 0.07 0.05", "#22262c");
                c.rotate(45.0);
            }
            c.fill("O 0 0 0.33 0.33", Ink::Round(-0.1, -0.12, 0.45, "#ffffff #cbd3da@0.5 #77828d"));
        }
    });
}

/// A lamp seen from the side, `r` high.
fn lamp(c: &mut Canvas, x: f32, y: f32, r: f32, glass: &str) {
    c.at(x, y, r, r, |c| {
        c.fill("O 0 0 0.72 1", Ink::Down(-1.0, 1.0, CHROME));
        c.fill("O 0.08 0 0.54 0.8", glass);
        c.fill("O 0.1 -0.35 0.22 0.22", "#ffffffcc");
    });
}

fn bumper(c: &mut Canvas, shape: &str, top: f32, foot: f32) {
    c.fill(shape, Ink::Down(top, foot, CHROME));
}

/// Panes, each with the sky's light falling slantwise across it.
fn panes(c: &mut Canvas, shape: &str, top: f32, foot: f32) {
    c.stroke(shape, 5.0, "#10141acc");
    c.fill(shape, Ink::Down(top, foot, GLASS));
    c.within(shape, |c| {
        c.fill(
            "M -150 -400 L -90 -400 L -190 -100 L -250 -100 Z \
             M 60 -400 L 130 -400 L 30 -100 L -40 -100 Z \
             M 145 -400 L 160 -400 L 60 -100 L 45 -100 Z",
            "#ffffff3c",
        );
    });
}

/// `driven` puts somebody at the wheel.
pub(crate) fn roadster(c: &mut Canvas, spin: f32, driven: bool) {
    c.stroke("M -304 -46 L -276 -46", 6.0, "#8d99a3");
    // Inside first: what the doors hide must lie behind them.
    c.fill("M -158 -150 C -150 -182 -112 -186 -92 -148 Z", Ink::Down(-182.0, -150.0, "#4a3a3a #15100f"));
    c.fill("M -30 -140 C -38 -186 -30 -200 -18 -200 C -6 -200 -4 -184 4 -140 Z", "#5b2f1a");
    c.fill(
        "M -96 -140 C -108 -184 -98 -204 -82 -204 C -68 -204 -64 -184 -52 -140 Z",
        Ink::Across(-100.0, -52.0, "#d99558 #a9622f #6d3a1b"),
    );
    if driven {
        driver(c);
    }
    c.stroke("M 22 -150 L 36 -184", 5.0, "#2a1a12");
    c.fill("M 78 -156 L 34 -214 L 50 -215 L 104 -158 Z", Ink::Down(-214.0, -156.0, "#e8f6ffb0 #a8d0e840"));
    c.stroke("M 104 -158 L 52 -214 L 34 -214", 3.0, "#8c98a2");
    c.stroke("M 80 -154 L 34 -214", 6.0, Ink::Down(-214.0, -154.0, CHROME));
    let shell = Shell {
        shape: "M -298 -66 C -310 -96 -308 -126 -288 -137 C -250 -156 -200 -165 -132 -161 \
                C -112 -159 -104 -152 -90 -149 C -50 -142 10 -144 50 -152 \
                C 62 -161 74 -163 90 -162 C 168 -160 236 -146 276 -122 \
                C 298 -108 307 -92 304 -70 C 303 -54 294 -44 276 -42 \
                L -270 -42 C -286 -44 -294 -52 -298 -66 Z",
        top: -164.0,
        paint: "#ffb3a0 #f4523f@0.16 #dd2a30@0.4 #a8141f@0.62 #d8303a@0.72 #6d0a16",
        wheels: [-184.0, 194.0],
        radius: 55.0,
    };
    shell.draw(c, Rim::Spokes(10), spin, |c| {
        // A scallop along the flank catches the light on its lower edge.
        c.fill("M 310 -104 C 180 -118 0 -104 -300 -112 C -100 -92 120 -90 310 -92 Z", "#5a060f66");
        c.stroke("M 300 -92 C 120 -88 -100 -90 -300 -110", 2.5, "#ffc4b266");
        c.stroke(
            "M -290 -134 C -240 -158 -190 -160 -130 -157 M 90 -158 C 170 -155 230 -140 268 -120",
            4.0,
            "#fff2e6aa",
        );
        let seams = "M -84 -152 C -92 -120 -88 -84 -78 -56 M 56 -158 C 64 -120 60 -86 48 -56";
        c.stroke(seams, 2.0, "#3a0308");
    });
    c.fill("R -128 -54 244 5", Ink::Down(-54.0, -49.0, CHROME));
    c.fill("R -66 -132 28 5", Ink::Down(-132.0, -127.0, CHROME));
    c.fill("O 68 -166 10 7", Ink::Down(-173.0, -159.0, CHROME));
    lamp(c, 286.0, -106.0, 18.0, "#fff6d8");
    c.fill("O 300 -84 6 4", "#ffb13d");
    c.fill(
        "M -305 -122 C -296 -126 -288 -124 -287 -112 C -287 -102 -294 -96 -306 -98 Z",
        Ink::Down(-124.0, -98.0, "#ff8a6a #d01020 #6a0010"),
    );
    bumper(c, "M 262 -74 L 306 -74 C 316 -74 316 -60 306 -60 L 270 -60 Z", -74.0, -60.0);
    bumper(c, "M -268 -74 L -304 -74 C -316 -74 -316 -60 -304 -60 L -272 -60 Z", -74.0, -60.0);
}

fn driver(c: &mut Canvas) {
    c.fill(
        "M -84 -140 C -88 -184 -70 -196 -52 -194 C -34 -190 -26 -168 -26 -140 Z",
        Ink::Across(-84.0, -26.0, "#f0ead8 #c9bfa6"),
    );
    c.stroke("M -48 -178 C -30 -160 -6 -162 24 -170", 11.0, "#d8cfb8");
    c.fill("O 25 -171 6 6", "#e0a882");
    c.fill("O -46 -216 19 22", "#e7b08a");
    c.fill("M -68 -212 C -72 -246 -28 -250 -26 -222 L -40 -224 C -48 -214 -54 -204 -66 -200 Z", "#4a2416");
    c.fill("M -44 -222 L -25 -222 L -28 -212 L -40 -212 Z", "#1a1a22");
    // A scarf, blown back: the car is moving.
    c.fill(
        "M -34 -196 C -60 -186 -80 -196 -104 -206 C -124 -214 -136 -200 -156 -208 \
         C -138 -190 -124 -196 -104 -192 C -84 -184 -60 -174 -36 -184 Z",
        "#ffd75e",
    );
}

pub(crate) fn hatchback(c: &mut Canvas) {
    // A surfboard on the roof.
    c.stroke("M -120 -258 L -124 -274 M 10 -258 L 14 -274", 5.0, "#2a2f36");
    c.fill(
        "M -236 -284 C -170 -298 80 -298 176 -280 C 80 -270 -170 -268 -236 -284 Z",
        Ink::Down(-296.0, -270.0, "#fffdf2 #ffe7a8 #e9a94f"),
    );
    c.fill(
        "M -236 -284 C -210 -290 -190 -292 -160 -293 L -160 -272 C -190 -274 -210 -278 -236 -284 Z",
        "#ff6b57",
    );
    c.fill("M 60 -293 L 84 -292 L 84 -273 L 60 -272 Z", "#2fb8b0");
    let shell = Shell {
        shape: "M -262 -62 C -270 -94 -268 -136 -254 -166 L -222 -236 C -212 -254 -196 -260 -172 -262 \
                C -100 -268 -14 -266 28 -258 C 60 -250 84 -226 128 -174 \
                C 176 -170 222 -160 244 -144 C 264 -128 270 -98 267 -64 \
                C 266 -50 258 -44 242 -42 L -242 -42 C -254 -44 -260 -50 -262 -62 Z",
        top: -266.0,
        paint: "#d8f0ff #6cb8f2@0.1 #2c7fd6@0.4 #2f86dc@0.5 #1657a8@0.72 #2a74c6@0.78 #0d3570",
        wheels: [-164.0, 170.0],
        radius: 53.0,
    };
    shell.draw(c, Rim::Spokes(5), 12.0, |c| {
        c.fill("M -280 -112 L 280 -106 L 280 -92 L -280 -92 Z", "#0a2c6055");
        c.stroke("M -262 -158 C -100 -166 100 -168 250 -144", 4.0, "#d9f0ff99");
        c.stroke("M -216 -244 C -180 -262 0 -266 40 -252", 4.0, "#ffffff99");
        let seams = "M -30 -250 L -32 -66 M 112 -176 C 118 -130 112 -90 96 -58 \
                     M -32 -66 L 90 -58 M -118 -164 C -112 -140 -110 -120 -112 -108";
        c.stroke(seams, 2.0, "#08214a");
    });
    let glass = "M -18 -248 L 16 -246 C 40 -242 62 -218 98 -176 L -22 -174 Z \
                 M -190 -242 C -140 -250 -80 -250 -40 -249 L -42 -174 L -224 -172 \
                 C -216 -200 -204 -226 -190 -242 Z";
    panes(c, glass, -250.0, -170.0);
    c.fill("M 0 -178 C 0 -206 22 -206 24 -178 Z", "#16222ecc");
    c.fill("M -118 -176 C -118 -202 -96 -202 -94 -176 Z", "#16222ecc");
    c.fill("R -18 -150 30 6", Ink::Down(-150.0, -144.0, CHROME));
    c.fill("M 84 -190 C 86 -200 104 -198 104 -188 L 102 -178 L 86 -178 Z", "#0f3a78");
    lamp(c, 246.0, -122.0, 20.0, "#fffbe8");
    c.fill("M 246 -96 L 268 -96 L 268 -88 L 246 -88 Z", "#ffb13d");
    c.fill(
        "M -268 -146 L -252 -150 C -246 -136 -248 -118 -252 -108 L -269 -108 Z",
        Ink::Down(-150.0, -108.0, "#ff9a7a #d3182a #7a0614"),
    );
    c.fill(
        "M 238 -78 L 272 -78 C 280 -76 280 -58 270 -56 L 236 -56 Z",
        Ink::Down(-76.0, -54.0, "#4a5058 #23272d #14161a"),
    );
    c.fill(
        "M -232 -78 L -266 -78 C -276 -76 -276 -58 -266 -56 L -230 -56 Z",
        Ink::Down(-76.0, -54.0, "#4a5058 #23272d #14161a"),
    );
}

pub(crate) fn camper(c: &mut Canvas) {
    // The rack: a canoe over rolled blankets and a case.
    c.fill("R -196 -346 74 36", Ink::Down(-346.0, -310.0, "#b9743c #7a4420"));
    c.stroke("M -182 -346 L -182 -312 M -136 -346 L -136 -312", 4.0, "#e8c998");
    c.fill("O -92 -326 24 17", Ink::Round(-96.0, -332.0, 30.0, "#ffd98a #c98a2c"));
    c.fill("O -46 -326 22 17", Ink::Round(-50.0, -332.0, 30.0, "#8fd0e0 #2c6f93"));
    c.fill(
        "M -10 -340 C 20 -348 140 -348 176 -338 L 172 -312 L -8 -312 Z",
        Ink::Down(-346.0, -312.0, "#e2604a #93271f"),
    );
    c.stroke("M -226 -310 L -232 -330 L 216 -330 L 208 -310 M -120 -310 L -120 -330 M 0 -310 L 0 -330 M 110 -310 L 110 -330", 5.0, "#39424a");
    let shell = Shell {
        shape: "M -300 -64 L -304 -150 C -306 -230 -300 -282 -274 -298 C -254 -309 -204 -312 0 -312 \
                C 150 -312 212 -310 236 -294 C 262 -272 284 -220 297 -160 C 306 -130 310 -100 306 -68 \
                C 305 -54 298 -46 284 -44 L -282 -44 C -292 -46 -298 -52 -300 -64 Z",
        top: -312.0,
        paint: "#9fd8a4 #4fa56c@0.45 #2f8a58@0.62 #1f6d48@0.8 #0f3f2b",
        wheels: [-178.0, 186.0],
        radius: 54.0,
    };
    shell.draw(c, Rim::Steel, 10.0, |c| {
        let cream = "M -400 -400 L 400 -400 L 400 -96 C 300 -120 290 -172 210 -174 L -400 -174 Z";
        c.fill(cream, Ink::Down(-312.0, -120.0, "#ffffff #fff6df@0.2 #f3e4c0@0.7 #cdb98c"));
        c.stroke("M -300 -282 C -260 -304 -200 -306 0 -306 C 150 -306 200 -304 230 -290", 4.0, "#ffffffcc");
        c.stroke("M 400 -96 C 300 -120 290 -172 210 -174 L -400 -174", 7.0, Ink::Down(-178.0, -96.0, CHROME));
        c.stroke("M -300 -150 L 250 -150", 3.0, "#c9f2cc77");
        let seams = "M 130 -296 L 130 -130 C 130 -110 120 -80 114 -60 M 246 -280 C 262 -230 262 -170 250 -120 \
                     M 0 -296 L 0 -60 M -116 -296 L -116 -120 M 0 -60 L 114 -60 M -110 -296 L 0 -296";
        c.stroke(seams, 2.0, "#1c2a22aa");
        c.stroke("M -270 -160 L -220 -160 M -270 -152 L -220 -152 M -270 -144 L -220 -144", 3.0, "#0d2b1e");
    });
    let glass = "M -264 -270 C -264 -276 -258 -280 -250 -280 L -130 -280 L -130 -194 L -264 -194 Z \
                 M -102 -280 L -14 -280 L -14 -194 L -102 -194 Z \
                 M 14 -280 L 116 -280 L 116 -194 L 14 -194 Z \
                 M 144 -280 L 218 -280 C 236 -264 246 -230 252 -194 L 144 -194 Z";
    panes(c, glass, -280.0, -192.0);
    for x in [-264.0, -102.0, 14.0] {
        // Curtains, drawn aside.
        c.at(x, -280.0, 1.0, 1.0, |c| {
            c.fill(
                "M 0 0 L 22 0 C 20 40 10 60 4 86 L 0 86 Z",
                Ink::Across(0.0, 22.0, "#ffb65c #e0762e #ffb65c"),
            );
        });
    }
    c.fill(
        "M 262 -276 C 280 -250 290 -222 295 -192 L 286 -192 C 282 -222 272 -252 256 -276 Z",
        Ink::Down(-276.0, -192.0, GLASS),
    );
    c.fill("R 20 -140 30 6 R 100 -140 22 6", Ink::Down(-140.0, -134.0, CHROME));
    c.stroke("M 250 -200 L 268 -214", 4.0, "#39424a");
    c.fill("O 270 -222 7 13", Ink::Down(-236.0, -208.0, CHROME));
    lamp(c, 288.0, -118.0, 24.0, "#fff9e2");
    c.fill("R -304 -136 12 34", Ink::Down(-136.0, -102.0, "#ff9a7a #d3182a #7a0614"));
    bumper(c, "M 244 -78 L 308 -78 C 320 -78 320 -60 308 -60 L 250 -60 Z", -78.0, -60.0);
    bumper(c, "M -244 -78 L -302 -78 C -314 -78 -314 -60 -302 -60 L -248 -60 Z", -78.0, -60.0);
}

pub(crate) fn coupe(c: &mut Canvas) {
    let shell = Shell {
        shape: "M -298 -62 C -310 -92 -310 -116 -294 -130 C -254 -152 -204 -196 -134 -219 \
                C -92 -231 -32 -233 10 -223 C 44 -214 70 -194 104 -160 \
                C 146 -154 186 -158 224 -150 C 268 -142 294 -118 303 -88 \
                C 307 -66 302 -50 284 -44 L -276 -44 C -290 -46 -295 -52 -298 -62 Z",
        top: -230.0,
        paint: "#fff8d2 #ffe066@0.14 #ffc91f@0.4 #f4ae0a@0.55 #b87403@0.74 #e09c12@0.8 #6b3d02",
        wheels: [-188.0, 194.0],
        radius: 56.0,
    };
    shell.draw(c, Rim::Spokes(5), 20.0, |c| {
        c.fill("M -310 -116 C -100 -104 100 -108 310 -110 L 310 -94 L -310 -96 Z", "#7a480055");
        c.stroke("M -300 -128 C -250 -150 -205 -194 -136 -214", 4.0, "#fffbe0aa");
        c.stroke("M -120 -219 C -80 -228 -30 -228 8 -218", 4.0, "#ffffffbb");
        c.stroke("M 112 -156 C 170 -150 210 -152 240 -140 C 262 -132 276 -120 286 -104", 4.0, "#fffbe0bb");
        let seams = "M -40 -214 L -46 -152 C -52 -110 -40 -80 -30 -58 M 92 -160 C 98 -120 92 -86 76 -58 \
                     M -30 -58 L 76 -58 M 128 -156 C 136 -130 190 -136 262 -128";
        c.stroke(seams, 2.0, "#5b3600");
        c.stroke("M -262 -142 L -216 -172 M -254 -138 L -208 -168 M -246 -134 L -200 -164", 2.5, "#5b360099");
    });
    let glass = "M -26 -212 C 0 -214 18 -208 34 -196 L 82 -158 L -32 -156 Z \
                 M -42 -213 L -48 -156 L -158 -158 C -134 -182 -92 -206 -42 -213 Z";
    panes(c, glass, -214.0, -156.0);
    c.stroke("M -158 -156 L 84 -156", 4.0, Ink::Down(-158.0, -154.0, CHROME));
    c.fill("M 6 -158 C 4 -186 28 -188 30 -158 Z", "#101820cc");
    c.fill("R -36 -140 30 5", Ink::Down(-140.0, -135.0, CHROME));
    c.fill("O 92 -168 10 7", Ink::Down(-175.0, -161.0, CHROME));
    c.fill("R -126 -56 244 4", Ink::Down(-56.0, -52.0, CHROME));
    lamp(c, 278.0, -112.0, 23.0, "#fffdf0");
    c.fill("O 302 -82 5 5", "#ff9a2d");
    c.fill(
        "M -306 -120 C -296 -126 -286 -122 -284 -112 L -286 -100 L -307 -98 Z",
        Ink::Down(-124.0, -98.0, "#ffb09a #ff2a3a #9a0618"),
    );
    bumper(c, "M 258 -72 L 306 -72 C 316 -72 316 -58 306 -58 L 264 -58 Z", -72.0, -58.0);
    bumper(c, "M -258 -72 L -302 -72 C -314 -72 -314 -58 -302 -58 L -262 -58 Z", -72.0, -58.0);
}

pub(crate) fn pickup(c: &mut Canvas) {
    // The load: hay, and a spare wheel leaning on it.
    for (x, y) in [(-290.0, -214.0), (-196.0, -214.0), (-244.0, -260.0)] {
        c.at(x, y, 1.0, 1.0, |c| {
            c.fill("R 0 0 90 48", Ink::Down(0.0, 48.0, "#ffe08a #dca53c #a06f1e"));
            c.stroke("M 26 2 L 26 46 M 64 2 L 64 46", 3.0, "#7a4a14");
            c.stroke(
                "M 6 14 L 20 10 M 34 30 L 54 26 M 70 16 L 84 20 M 8 36 L 18 32 M 40 12 L 52 14",
                2.0,
                "#fff0b8",
            );
        });
    }
    c.at(-84.0, -196.0, 38.0, 38.0, |c| wheel(c, Rim::Steel, 0.0));
    let shell = Shell {
        shape: "M -322 -92 L -324 -176 C -324 -182 -318 -184 -312 -184 L -58 -184 L -56 -190 \
                C -54 -226 -50 -268 -36 -280 C -20 -290 64 -290 88 -282 C 108 -274 124 -228 138 -188 \
                C 206 -186 278 -182 306 -170 C 320 -160 325 -126 323 -88 \
                C 322 -74 314 -66 300 -64 L -306 -66 C -318 -70 -322 -78 -322 -92 Z",
        top: -288.0,
        paint: "#ffffff #f7f5ef@0.3 #ebe6da@0.5 #fdfbf4@0.56 #d5cbb9@0.78 #8f8270",
        wheels: [-196.0, 208.0],
        radius: 63.0,
    };
    shell.draw(c, Rim::Spokes(6), 8.0, |c| {
        c.fill("R -400 -150 800 13", Ink::Across(-320.0, 320.0, "#c8401f #e8702a #f0a03a"));
        c.fill("R -400 -134 800 6", "#f0a03a");
        c.fill("R -400 -125 800 4", "#2f8f94");
        c.stroke("M -320 -178 L -60 -178 M 140 -182 C 206 -180 270 -178 306 -164", 4.0, "#ffffff");
        c.stroke("M -320 -168 L -60 -168", 2.0, "#8a806f88");
        let seams = "M -58 -184 L -58 -68 M 118 -190 C 126 -150 124 -110 116 -74 M -40 -270 L -46 -184 \
                     M -46 -184 L -48 -74 L 112 -74 M 140 -160 L 300 -158";
        c.stroke(seams, 2.0, "#6a6152");
    });
    let glass = "M -30 -266 L 66 -268 C 84 -260 98 -228 110 -192 L -38 -192 Z";
    panes(c, glass, -268.0, -192.0);
    c.stroke("M 34 -266 L 38 -192", 5.0, "#e6e0d2");
    c.fill("M -16 -194 C -16 -232 14 -232 16 -194 Z", "#1b2228bb");
    c.fill("R -36 -172 32 7", Ink::Down(-172.0, -165.0, CHROME));
    c.stroke("M 104 -196 L 122 -212", 4.0, "#39424a");
    c.fill("R 112 -236 14 28", Ink::Down(-236.0, -208.0, CHROME));
    lamp(c, 310.0, -140.0, 21.0, "#fff8e0");
    c.fill("R 308 -112 15 9", "#ff9a2d");
    c.fill("R -325 -166 13 42", Ink::Down(-166.0, -124.0, "#ff9a7a #d3182a #7a0614"));
    bumper(c, "M 284 -96 L 324 -96 C 336 -96 336 -74 324 -74 L 282 -74 Z", -94.0, -72.0);
    bumper(c, "M -272 -94 L -326 -94 C -336 -94 -336 -74 -326 -74 L -270 -74 Z", -90.0, -72.0);
}
