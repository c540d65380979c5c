//! Where the cars stand: five places at five hours, 1200 x 800 units each.

use super::car;
use super::paint::{Canvas, DAYLIGHT, Dice, Ink};

/// Hills up to `height` above `y`, as seen after scrolling by `shift`.
pub(crate) fn ridge(c: &mut Canvas, shift: f32, (y, height, length): (f32, f32, f32), ink: Ink) {
    let point = |step: u8| {
        let x = f32::from(step) * 12.0 - 12.0;
        let at = (x + shift) / length;
        let wave = at.sin() + 0.5 * (at * 2.3 + 1.0).sin() + 0.2 * (at * 5.1 + 2.0).sin();
        format!("L {x} {} ", y - height * (0.5 + wave * 0.3))
    };
    let crest: String = (0..=102).map(point).collect();
    let foot = y + 900.0;
    let shape = format!("M -12 {foot} {crest} L 1212 {foot} Z");
    c.fill(&shape, ink);
}

pub(crate) fn cloud(c: &mut Canvas, x: f32, y: f32, size: f32, ink: Ink) {
    c.at(x, y, size, size, |c| {
        c.fill("O 0 0 90 22 O -40 -14 34 26 O 6 -30 44 38 O 52 -12 30 24", ink);
    });
}

/// A high thin cloud that frays at both ends.
fn streak(c: &mut Canvas, (x, y): (f32, f32), (wide, high): (f32, f32), colour: &str) {
    let rgb = colour.get(..7).unwrap_or(colour);
    let stops = format!("{rgb}00 {rgb}c0@0.4 {rgb}90@0.6 {rgb}00");
    let (left, right) = (x - wide, x + wide);
    c.fill(
        &format!("M {left} {y} Q {x} {} {right} {y} Q {x} {} {left} {y} Z", y - high * 2.0, y + high),
        Ink::Across(left, right, &stops),
    );
}

pub(crate) fn stars(c: &mut Canvas, depth: f32, colour: &str) {
    let mut dice = Dice(11);
    for _ in 0..110_u8 {
        let (x, y) = (dice.roll(0.0, 1200.0), dice.roll(0.0, depth));
        let r = dice.roll(0.5, 1.8);
        c.fill(&format!("O {x} {y} {r} {r}"), colour);
    }
}

pub(crate) fn cypress(c: &mut Canvas, x: f32, y: f32, size: f32, ink: Ink) {
    c.at(x, y, size, size, |c| {
        c.fill("M -3 6 L -2 -14 L 2 -14 L 3 6 Z", "#2a1620");
        c.fill("M 0 -130 C 12 -96 20 -40 12 -10 C 8 -2 -8 -2 -12 -10 C -20 -40 -12 -96 0 -130 Z", ink);
    });
}

fn pine(c: &mut Canvas, x: f32, y: f32, size: f32, ink: Ink) {
    c.at(x, y, size, size, |c| {
        let tree = "M -3 8 L -3 -8 L 3 -8 L 3 8 Z M 0 -110 L 15 -76 L 8 -78 L 23 -50 L 13 -52 L 30 -24 \
                    L 17 -27 L 36 0 L -36 0 L -17 -27 L -30 -24 L -13 -52 L -23 -50 L -8 -78 L -15 -76 Z";
        c.fill(tree, ink);
    });
}

/// A peak whose right flank lies in the shade, with snow on top.
fn peak(c: &mut Canvas, (x, y): (f32, f32), (wide, high): (f32, f32), [lit, shade]: [&str; 2]) {
    c.at(x, y, wide, high, |c| {
        c.fill("M -1 0 L -0.7 -0.34 L -0.58 -0.36 L -0.3 -0.74 L -0.2 -0.76 L 0 -1 L 0.16 -0.8 L 0.25 -0.78 L 0.52 -0.44 L 0.64 -0.42 L 1 0 Z", Ink::Down(-1.0, 0.0, lit));
        c.fill("M 0 -1 L 0.16 -0.8 L 0.25 -0.78 L 0.52 -0.44 L 0.64 -0.42 L 1 0 L 0.1 0 L 0.2 -0.24 L 0.04 -0.4 L 0.12 -0.6 L -0.04 -0.76 Z", Ink::Down(-1.0, 0.0, shade));
        c.fill("M 0 -1 L -0.2 -0.76 L -0.3 -0.74 L -0.4 -0.6 L -0.28 -0.66 L -0.22 -0.54 L -0.14 -0.68 L -0.06 -0.5 L 0.05 -0.68 L -0.04 -0.76 Z", "#fffaf2");
        c.fill("M 0 -1 L 0.16 -0.8 L 0.25 -0.78 L 0.38 -0.62 L 0.27 -0.68 L 0.22 -0.56 L 0.14 -0.7 L 0.07 -0.62 L 0.05 -0.68 L -0.04 -0.76 Z", "#b9cbe6");
    });
}

/// Tufts along the lower edge, close to the eye.
pub(crate) fn grass(c: &mut Canvas, y: f32, shift: f32, colours: [&str; 3]) {
    let mut dice = Dice(5);
    for colour in colours {
        let tuft = |_| {
            let x = (dice.roll(0.0, 1320.0) - shift).rem_euclid(1320.0) - 60.0;
            let (high, lean) = (dice.roll(14.0, 46.0), dice.roll(-16.0, 16.0));
            let (tip, left, right) = (x + lean, x - 5.0, x + 5.0);
            let (top, foot) = (y + 26.0 - high, y + 40.0);
            format!("M {left} {foot} Q {x} {y} {tip} {top} Q {right} {y} {right} {foot} Z ")
        };
        let shape: String = (0..130_u8).map(tuft).collect();
        c.fill(&shape, colour);
    }
}

/// A road `y` to `foot`, with its edge lines and a dashed middle.
pub(crate) fn road(c: &mut Canvas, y: f32, foot: f32, shift: f32, [top, bottom]: [&str; 2]) {
    let stops = format!("{top} {bottom}");
    let deep = foot - y;
    c.fill(&format!("R -10 {y} 1240 {deep}"), Ink::Down(y, foot, &stops));
    c.fill(&format!("R -10 {} 1240 3", y + 8.0), "#fff6dd88");
    let dash = |index: u8| {
        let x = (f32::from(index) * 160.0 - shift).rem_euclid(1440.0) - 160.0;
        let (low, high) = (y + deep * 0.8, y + deep * 0.76);
        let (end, back, tail) = (x + 90.0, x - 8.0, x + 82.0);
        format!("M {x} {high} L {end} {high} L {tail} {low} L {back} {low} Z ")
    };
    let dashes: String = (0..9).map(dash).collect();
    c.fill(&dashes, "#fff2ccb0");
}

/// Darker corners, as a lens leaves them.
pub(crate) fn vignette(c: &mut Canvas) {
    c.light = DAYLIGHT;
    let stops = "#00000000@0.62 #05031055";
    c.fill("R 0 0 1200 800", Ink::Round(600.0, 400.0, 760.0, stops));
}

pub(crate) fn sunset(c: &mut Canvas) {
    let sky = "#221a54 #57297a@0.25 #b93f7c@0.5 #f5735a@0.72 #ffb45e@0.88 #ffe3a0";
    c.fill("R 0 0 1200 560", Ink::Down(0.0, 500.0, sky));
    stars(c, 150.0, "#fff4e088");
    c.glow(850.0, 400.0, 430.0, "#ffd98ab0");
    c.fill("O 850 392 92 92", Ink::Down(300.0, 484.0, "#fffbe0 #ffe08a #ff9a55"));
    for (x, y, wide, high, colour) in [
        (240.0, 170.0, 300.0, 9.0, "#ff8f7a99"),
        (360.0, 192.0, 220.0, 6.0, "#ffb48a99"),
        (930.0, 150.0, 260.0, 8.0, "#ff8f8088"),
        (720.0, 262.0, 240.0, 8.0, "#ffc99099"),
        (1040.0, 290.0, 200.0, 7.0, "#ffd9a099"),
        (120.0, 300.0, 240.0, 8.0, "#ffab80aa"),
        (900.0, 346.0, 170.0, 5.0, "#ff8a58cc"),
    ] {
        streak(c, (x, y), (wide, high), colour);
    }
    ridge(c, 300.0, (500.0, 110.0, 190.0), Ink::Down(400.0, 520.0, "#c25a78 #f09a78"));
    ridge(c, 1100.0, (530.0, 110.0, 150.0), Ink::Down(430.0, 560.0, "#853c70 #c96a6a"));
    c.at(212.0, 508.0, 0.85, 0.85, |c| {
        c.fill("R 0 -46 84 60 R 60 -76 26 90", Ink::Across(0.0, 84.0, "#4a2350 #a9566a"));
        c.fill("M -8 -44 L 40 -68 L 64 -54 L 64 -44 Z M 54 -74 L 73 -92 L 92 -74 Z", "#331541");
        c.fill("R 16 -30 10 14 R 38 -30 10 14 R 68 -62 9 12", "#ffd98a");
    });
    ridge(c, 620.0, (575.0, 120.0, 210.0), Ink::Down(460.0, 620.0, "#4c2459 #8a4060"));
    let dark = Ink::Across(-16.0, 16.0, "#2c1740 #3a1c48 #7c3a55");
    for (x, y, size) in [
        (90.0, 540.0, 0.7),
        (126.0, 545.0, 0.95),
        (168.0, 550.0, 0.8),
        (1010.0, 548.0, 0.6),
        (1042.0, 552.0, 0.85),
        (1082.0, 558.0, 1.1),
        (1130.0, 562.0, 0.9),
    ] {
        cypress(c, x, y, size, dark);
    }
    ridge(c, 200.0, (632.0, 70.0, 260.0), Ink::Down(560.0, 660.0, "#371a4a #57284f"));
    road(c, 622.0, 770.0, 30.0, ["#8a4a62", "#2b1836"]);
    c.fill("R 0 622 1200 148", Ink::Round(850.0, 620.0, 420.0, "#ffc07a77 #ffb07000"));
    c.light = [1.0, 0.9, 0.9];
    c.at(570.0, 722.0, 1.28, 1.28, |c| car::roadster(c, 14.0, false));
    c.light = DAYLIGHT;
    grass(c, 772.0, 0.0, ["#4a2148", "#351639", "#220d29"]);
}

pub(crate) fn seaside(c: &mut Canvas) {
    c.fill("R 0 0 1200 460", Ink::Down(0.0, 440.0, "#2b8fdc #6fc0ef #c9ecf8 #fff3dc"));
    c.glow(190.0, 110.0, 260.0, "#fffbe0dd");
    c.fill("O 190 110 46 46", "#fffdf0");
    let puff = Ink::Down(-60.0, 22.0, "#ffffff #ffffff #cfe6f4");
    for (x, y, size) in [
        (470.0, 150.0, 1.1),
        (840.0, 100.0, 1.5),
        (1090.0, 220.0, 1.0),
        (690.0, 260.0, 0.6),
        (330.0, 270.0, 0.5),
    ] {
        cloud(c, x, y, size, puff);
    }
    c.fill("R 0 400 1200 260", Ink::Down(400.0, 580.0, "#1f78b8 #2fa3c9@0.4 #5fd0cf@0.8 #b8efe0"));
    let mut dice = Dice(3);
    for _ in 0..120_u8 {
        let deep = dice.roll(0.0, 1.0);
        let (x, y, wide) = (dice.roll(0.0, 1200.0), 406.0 + 150.0 * deep, 6.0 + dice.roll(8.0, 40.0) * deep);
        c.fill(&format!("O {x} {y} {wide} 1.4"), "#ffffff77");
    }
    // A headland with its lighthouse, and two sails.
    c.fill(
        "M 800 404 C 860 380 900 350 960 344 C 1040 330 1120 300 1210 306 L 1210 402 L 800 402 Z",
        Ink::Down(306.0, 415.0, "#7fb56a #4d8a5c #c9b48a"),
    );
    c.at(930.0, 350.0, 0.95, 0.95, |c| {
        c.fill("M -15 6 L -10 -96 L 10 -96 L 15 6 Z", Ink::Across(-15.0, 15.0, "#ffffff #ffffff #b9c6d2"));
        c.fill(
            "M -14 -14 L -12.6 -40 L 12.6 -40 L 14 -14 Z M -11.7 -60 L -10.6 -82 L 10.6 -82 L 11.7 -60 Z",
            Ink::Across(-15.0, 15.0, "#f0604f #d8402f #97281f"),
        );
        c.fill("R -13 -102 26 6 M -9 -116 L 0 -130 L 9 -116 Z", "#2a3a48");
        c.fill("R -8 -116 16 14", "#ffe9a0");
    });
    for (x, y, size) in [(208.0, 450.0, 0.75), (905.0, 452.0, 0.6)] {
        c.at(x, y, size, size, |c| {
            c.fill("M 2 -84 C 30 -50 40 -30 42 -10 L 2 -10 Z", Ink::Across(0.0, 42.0, "#ffffff #dfe9ee"));
            c.fill("M -3 -74 L -3 -10 L -30 -10 Z", "#ff7a5c");
            c.fill("M -36 -6 L 46 -6 L 34 8 L -26 8 Z", "#24445e");
        });
    }
    c.fill(
        "M -10 570 C 300 548 520 590 760 566 C 940 550 1080 574 1210 560 L 1210 660 L -10 660 Z",
        "#ffffffaa",
    );
    c.fill(
        "M -10 580 C 300 556 520 600 760 576 C 940 560 1080 584 1210 570 L 1210 660 L -10 660 Z",
        Ink::Down(560.0, 650.0, "#f2dcae #ffeec8"),
    );
    for (x, colour) in [(300.0, "#ff6b57"), (880.0, "#ffc53d"), (1130.0, "#2fb8b0")] {
        c.at(x, 622.0, 1.0, 1.0, |c| {
            c.fill("O 20 4 60 5", "#b9935866");
            c.stroke("M 0 4 L 0 -70", 4.0, "#fffaf0");
            c.fill("M -62 -52 C -50 -96 50 -96 62 -52 Z", colour);
            c.fill("M -24 -52 C -22 -80 -8 -86 0 -86 C 8 -86 22 -80 24 -52 Z", "#fffaf0");
        });
    }
    c.stroke("M 0 596 L 1200 596 M 0 620 L 1200 620", 4.0, "#f7fbfd");
    for post in 0..13_u8 {
        let x = f32::from(post) * 100.0 + 20.0;
        c.fill(&format!("R {x} 586 9 54"), Ink::Across(x, x + 9.0, "#ffffff #c3d3dc"));
    }
    c.fill("R 0 636 1200 14", Ink::Down(636.0, 650.0, "#fff3da #cbb791"));
    road(c, 650.0, 800.0, 0.0, ["#9aa7b0", "#5f6d78"]);
    palm(c, 120.0, 648.0, 1.0);
    palm(c, 1166.0, 650.0, 1.1);
    c.at(610.0, 742.0, 1.4, 1.4, car::hatchback);
    c.stroke(
        "M 560 190 Q 574 178 584 190 Q 596 178 610 188 M 640 226 Q 650 216 658 226 Q 666 216 676 224",
        3.0,
        "#3a5a70",
    );
}

fn palm(c: &mut Canvas, x: f32, y: f32, size: f32) {
    c.at(x, y, size, size, |c| {
        c.fill("M -13 0 C -4 -120 -20 -220 12 -330 L 22 -328 C -2 -220 12 -120 13 0 Z", Ink::Across(-18.0, 18.0, "#7a5230 #b98a58 #6d4526"));
        c.at(16.0, -330.0, 1.0, 1.0, |c| {
            for (turn, long, colour) in [(200.0, 1.0, "#1d6b45"), (-20.0, 1.0, "#1d6b45"), (165.0, 1.05, "#2a8a52"), (15.0, 1.05, "#2a8a52"), (-55.0, 0.8, "#3aa35c"), (235.0, 0.8, "#3aa35c"), (-90.0, 0.6, "#55b867")] {
                c.turned(turn, |c| {
                    let droop = if (90.0..270.0).contains(&turn) { -1.0 } else { 1.0 };
                    c.at(0.0, 0.0, long, long * droop, |c| {
                        c.fill("M 0 0 C 40 -34 100 -30 150 34 L 132 22 L 130 34 L 112 14 L 108 26 L 90 6 L 84 18 L 66 2 L 58 12 L 40 2 Z", colour);
                    });
                });
            }
            c.fill("O -7 6 8 8 O 8 8 8 8", "#8a5526");
        });
    });
}

pub(crate) fn mountains(c: &mut Canvas) {
    c.fill("R 0 0 1200 600", Ink::Down(0.0, 520.0, "#5aa6de #a3d2ee #fde3cf #ffd3b0"));
    c.glow(1010.0, 190.0, 330.0, "#fff0c8cc");
    c.fill("O 1010 190 44 44", "#fffbe8");
    let puff = Ink::Down(-60.0, 22.0, "#ffffffdd #ffffffdd #ffe6d8aa");
    cloud(c, 210.0, 130.0, 1.0, puff);
    cloud(c, 760.0, 110.0, 0.7, puff);
    let far = ["#c9d3ea #d6dcec", "#9fb2d8 #c9d3e8"];
    peak(c, (120.0, 520.0), (330.0, 270.0), far);
    peak(c, (960.0, 520.0), (380.0, 250.0), far);
    let near = ["#a89db4 #8d9aae #a9b9b8", "#5d6a94 #6f83a4 #93a9b0"];
    peak(c, (740.0, 540.0), (330.0, 330.0), near);
    peak(c, (360.0, 540.0), (400.0, 430.0), near);
    peak(c, (1130.0, 540.0), (280.0, 300.0), near);
    ridge(c, 0.0, (560.0, 60.0, 130.0), Ink::Down(500.0, 600.0, "#7fae9a #a8cba4"));
    let mut dice = Dice(21);
    for (row, low, size, ink) in [
        (38_u8, 552.0, 0.55, "#5f9a86 #7db391"),
        (30, 588.0, 0.85, "#37785f #5a9c6c"),
        (16, 626.0, 1.25, "#1c5443 #34794e"),
    ] {
        for _ in 0..row {
            let (x, y) = (dice.roll(-20.0, 1220.0), low + dice.roll(-8.0, 8.0));
            pine(c, x, y, size * dice.roll(0.75, 1.25), Ink::Down(-110.0, 0.0, ink));
        }
        c.fill(
            &format!("R 0 {} 1200 70", low - 62.0),
            Ink::Down(low - 62.0, low + 8.0, "#fff4e600 #fff4e655"),
        );
        ridge(c, low * 3.0, (low + 26.0, 24.0, 240.0), Ink::Down(low - 10.0, low + 60.0, "#93c46c #6fae58"));
    }
    c.fill("R 0 640 1200 160", Ink::Down(630.0, 800.0, "#86bd5c #5f9c48 #2f6a38"));
    c.fill(
        "M -10 700 C 300 672 800 676 1210 690 L 1210 762 C 800 776 300 786 -10 768 Z",
        Ink::Down(680.0, 780.0, "#e2cda2 #c2a678 #8d7350"),
    );
    c.fill("M -10 716 C 300 694 800 696 1210 706 L 1210 716 C 800 708 300 708 -10 728 Z", "#a98d6288");
    let mut dice = Dice(8);
    for colour in ["#ffffff", "#ffd84a", "#ff8fa8", "#b79bff"] {
        for _ in 0..26_u8 {
            let (x, y, r) = (dice.roll(0.0, 1200.0), dice.roll(650.0, 682.0), dice.roll(1.5, 3.2));
            c.fill(&format!("O {x} {y} {r} {r}"), colour);
        }
    }
    c.light = [1.0, 0.98, 0.94];
    c.at(560.0, 740.0, -1.22, 1.22, car::camper);
    c.light = DAYLIGHT;
    // The morning's campfire.
    c.at(1050.0, 742.0, 1.0, 1.0, |c| {
        c.glow(0.0, -14.0, 110.0, "#ffb04a99");
        c.fill(
            "M -24 0 C -34 -34 -6 -40 -4 -76 C 16 -56 34 -34 22 0 Z",
            Ink::Down(-76.0, 0.0, "#ff8a2a #ff5a2a"),
        );
        c.fill("M -12 0 C -16 -20 0 -26 2 -44 C 12 -28 18 -16 10 0 Z", "#ffe27a");
        c.stroke("M -34 4 L 34 -8 M -34 -8 L 34 4", 9.0, "#5a3820");
    });
    grass(c, 770.0, 0.0, ["#4f8f3f", "#3a7836", "#25582d"]);
}

fn tower(c: &mut Canvas, dice: &mut Dice, (x, wide, high): (f32, f32, f32), wall: &str, lit: f32) {
    let top = 640.0 - high;
    c.fill(&format!("R {x} {top} {wide} {high}"), Ink::Down(top, 640.0, wall));
    let mut y = top + 14.0;
    while y < 610.0 {
        let mut left = x + 9.0;
        while left < x + wide - 14.0 {
            if dice.roll(0.0, 1.0) < lit {
                let warm = if dice.roll(0.0, 1.0) < 0.75 { "#ffd27ad8" } else { "#9fdcffc8" };
                c.fill(&format!("R {left} {y} 8 12"), warm);
            }
            left += 17.0;
        }
        y += 22.0;
    }
}

fn skyline(c: &mut Canvas) {
    c.fill("R 0 0 1200 640", Ink::Down(0.0, 620.0, "#0a0b2e #1b1a55 #4a2a7a@0.65 #a8447f@0.9 #e8707a"));
    stars(c, 330.0, "#ffffffb0");
    c.glow(930.0, 150.0, 210.0, "#cfd8ff88");
    c.fill("O 930 150 56 56", Ink::Round(915.0, 135.0, 76.0, "#ffffff #f2ecd8@0.6 #c9c2c8"));
    c.fill("O 912 138 12 10 O 946 168 15 12 O 948 128 7 6", "#d6cfc688");
    let mut dice = Dice(77);
    for (wall, low, high, lit) in [
        ("#3a2c72 #7a3f84", 240.0, 400.0, 0.18),
        ("#20204f #412a66", 150.0, 320.0, 0.3),
        ("#12132f #1e1a40", 80.0, 210.0, 0.45),
    ] {
        let mut x = -20.0;
        while x < 1200.0 {
            let wide = dice.roll(62.0, 120.0);
            let tall = dice.roll(low, high);
            tower(c, &mut dice, (x, wide, tall), wall, lit);
            x += wide + dice.roll(2.0, 26.0);
        }
    }
    // A café and a cinema on the ground floor, for the neon.
    for (x, wide, colour) in [(60.0, 200.0, "#ff4f9a"), (420.0, 240.0, "#3fe0e8"), (860.0, 250.0, "#ffb13d")]
    {
        c.at(x, 0.0, 1.0, 1.0, |c| {
            c.fill(&format!("R 0 540 {wide} 100"), "#0e0f26");
            c.fill(&format!("R 14 570 {} 60", wide - 28.0), Ink::Down(560.0, 630.0, "#ffe9b0 #e8913f"));
            c.fill(&format!("R {} 564 8 76 R {} 564 8 76", wide * 0.36, wide * 0.68), "#0e0f26");
            c.glow(wide / 2.0, 548.0, wide * 0.6, &format!("{colour}88"));
            c.stroke(&format!("M 10 548 L {} 548", wide - 10.0), 6.0, colour);
            c.stroke(&format!("M 10 548 L {} 548", wide - 10.0), 2.0, "#ffffff");
        });
    }
    for x in [340.0, 780.0, 1150.0] {
        c.at(x, 640.0, 1.0, 1.0, |c| {
            c.stroke("M 0 0 L 0 -250 Q 0 -280 -34 -280", 6.0, "#0a0a1c");
            c.glow(-40.0, -272.0, 120.0, "#ffe2a0cc");
            c.fill("O -40 -274 15 7", "#fff6dc");
        });
    }
}

pub(crate) fn city(c: &mut Canvas) {
    skyline(c);
    c.fill("R 0 636 1200 164", Ink::Down(636.0, 800.0, "#2a2450 #12112c"));
    // A wet street gives back the town, and the car.
    c.mirror(640.0, 0.42, skyline);
    c.fill("R 0 636 1200 12", Ink::Down(636.0, 648.0, "#57508a #1b1838"));
    let night = [1.0, 0.94, 0.86];
    let parked = |c: &mut Canvas| {
        c.light = night;
        c.at(620.0, 732.0, -1.3, 1.3, car::coupe);
        c.light = DAYLIGHT;
    };
    c.mirror(731.0, 0.4, parked);
    c.fill("R 0 640 1200 160", Ink::Down(640.0, 800.0, "#0c0b2200 #0c0b2299"));
    let mut dice = Dice(4);
    for _ in 0..70_u8 {
        let (x, y, wide) = (dice.roll(0.0, 1200.0), dice.roll(656.0, 796.0), dice.roll(20.0, 90.0));
        c.fill(&format!("O {x} {y} {wide} 1.3"), "#c8b8ff22");
    }
    parked(c);
    c.fill(
        "M 250 572 L -20 540 L -20 760 L 250 604 Z",
        Ink::Across(-20.0, 260.0, "#fff2b000 #fff2b022@0.5 #fff2b099"),
    );
    c.glow(258.0, 586.0, 120.0, "#fff6d0ee");
    c.glow(1014.0, 588.0, 70.0, "#ff2a3acc");
}

pub(crate) fn desert(c: &mut Canvas) {
    c.fill("R 0 0 1200 560", Ink::Down(0.0, 520.0, "#17808f #57b3b0 #cfe0bb@0.62 #ffe2a8@0.85 #ffc987"));
    c.glow(330.0, 210.0, 360.0, "#fff6d0cc");
    c.fill("O 330 210 58 58", "#fffdf0");
    for (x, y, wide) in
        [(820.0, 120.0, 240.0), (960.0, 146.0, 170.0), (120.0, 96.0, 150.0), (600.0, 310.0, 130.0)]
    {
        streak(c, (x, y), (wide, 8.0), "#fff8e8");
    }
    ridge(c, 90.0, (520.0, 60.0, 170.0), Ink::Down(460.0, 540.0, "#d9a08a #f0c49a"));
    mesa(c, 860.0, 528.0, 0.8, "#e8a276 #d98a64 #e6b088");
    mesa(c, 150.0, 540.0, 1.1, "#dd7c4c #c25a3a #d98a5c");
    mesa(c, 1060.0, 548.0, 1.3, "#d66a3c #ad4a30 #cf7a4e");
    c.at(480.0, 540.0, 1.0, 1.0, |c| {
        let rock = "M -64 0 L -44 -60 L -30 -66 L -28 -210 L -10 -222 L 12 -214 L 24 -190 L 26 -70 L 44 -58 L 70 0 Z";
        c.fill(rock, Ink::Across(-40.0, 50.0, "#f09a62 #d8703f@0.5 #8d3a2c"));
    });
    c.fill("R 0 530 1200 270", Ink::Down(530.0, 800.0, "#f3c07c #e69a58 #b9643a"));
    ridge(c, 40.0, (596.0, 50.0, 330.0), Ink::Down(550.0, 650.0, "#e9aa66 #dd8f50"));
    let mut dice = Dice(19);
    for _ in 0..60_u8 {
        let (x, y, size) = (dice.roll(0.0, 1200.0), dice.roll(580.0, 640.0), dice.roll(0.3, 0.8));
        c.at(x, y, size, size, |c| {
            c.fill("O 6 2 26 5", "#8a432a55");
            c.stroke("M 0 0 L -16 -16 M 0 0 L -6 -24 M 0 0 L 6 -22 M 0 0 L 16 -14", 4.0, "#7a8a4a");
        });
    }
    for (x, y, size) in [
        (90.0, 640.0, 1.25),
        (1110.0, 636.0, 1.45),
        (330.0, 596.0, 0.55),
        (720.0, 588.0, 0.5),
        (960.0, 606.0, 0.7),
    ] {
        cactus(c, x, y, size);
    }
    c.fill(
        "M -10 668 C 300 652 800 652 1210 662 L 1210 772 C 800 788 300 790 -10 778 Z",
        Ink::Down(655.0, 785.0, "#f6cf94 #dc9a5c #a8603a"),
    );
    for (y, colour) in [(700.0, "#a8603a44"), (742.0, "#8a482c66"), (760.0, "#8a482c55")] {
        let (bend, end) = (y - 12.0, y - 4.0);
        c.stroke(&format!("M -10 {y} C 300 {bend} 800 {bend} 1210 {end}"), 7.0, colour);
    }
    c.light = [1.0, 0.99, 0.97];
    c.at(600.0, 742.0, 1.22, 1.22, car::pickup);
    c.light = DAYLIGHT;
    for (x, y, size) in [(60.0, 790.0, 1.6), (1010.0, 796.0, 1.3), (1120.0, 800.0, 2.2), (300.0, 804.0, 1.0)]
    {
        c.at(x, y, size, size, |c| {
            let stone = Ink::Across(-40.0, 40.0, "#d98a5c #a0522f #5f2a1e");
            c.fill("M -44 10 L -36 -12 L -14 -24 L 16 -20 L 38 -6 L 46 10 Z", stone);
            c.fill("M -36 -12 L -14 -24 L 16 -20 L -6 -10 Z", "#ffc08a88");
        });
    }
}

fn mesa(c: &mut Canvas, x: f32, y: f32, size: f32, stops: &str) {
    c.at(x, y, size, size, |c| {
        let shape = "M -180 10 L -140 -50 L -116 -58 L -112 -150 L -90 -160 L 70 -158 L 92 -146 L 98 -60 L 130 -46 L 180 10 Z";
        c.fill(shape, Ink::Down(-160.0, 10.0, stops));
        c.within(shape, |c| {
            c.fill("R -200 -128 400 9 R -200 -100 400 5 R -200 -60 400 6", "#6d241c33");
            c.fill("M 40 -170 L 200 -170 L 200 20 L 110 20 L 60 -50 L 52 -100 Z", "#5a1f2a55");
            c.stroke("M -80 -150 L -84 -66 M -30 -150 L -28 -64 M 10 -150 L 6 -70", 5.0, "#6d241c33");
        });
    });
}

fn cactus(c: &mut Canvas, x: f32, y: f32, size: f32) {
    c.at(x, y, size, size, |c| {
        c.fill("O 26 2 60 6", "#6d2f1c66");
        let limbs = "M 0 0 L 0 -150 M 0 -56 L 30 -56 Q 42 -56 42 -70 L 42 -108 M 0 -40 L -26 -40 Q -38 -40 -38 -54 L -38 -84";
        c.stroke(limbs, 24.0, "#2c5a3c");
        c.at(-3.0, -1.0, 1.0, 1.0, |c| c.stroke(limbs, 15.0, "#4c8a54"));
        c.at(-7.0, -1.0, 1.0, 1.0, |c| c.stroke(limbs, 3.0, "#9cc47c"));
    });
}
